"use strict";
// The panel of the chosen target. report.js tells which one it is; find() tells what is known of it.
(() => {
  const byId = (id) => document.getElementById(id);
  const panel = byId("panel");
  const title = byId("panel-title");
  const body = byId("panel-body");
  const embedded = JSON.parse(byId("series-data").textContent);
  const day = 86400000;
  let chosen = -1;
  let turn = 0;
  let drawn = null;

  // ---- what is known of a target: held by this page, or asked of the viewer ----
  const held = async (index) => {
    const card = document.querySelector(`#e${index} .about`) ?? byId(`s${index}`)?.content.querySelector(".about");
    return { about: card ? card.cloneNode(true) : null, series: embedded, key: String(index) };
  };
  const find = (index, id) => (window.groundshiftFind ?? held)(index, id);

  // ---- numbers ----
  const numbers = (packed) => {
    const bytes = Uint8Array.from(atob(packed.of), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 2 }, (_, k) => {
      const whole = view.getInt16(2 * k, true);
      return whole === -32768 ? NaN : whole * packed.step;
    });
  };
  const datesOf = (steps) => {
    let now = 0;
    return steps.map((step) => { now += step; return now * day; });
  };
  const written = (time) => new Date(time).toISOString().slice(0, 10);
  const rounded = (value, digits) => value.toFixed(digits).replace("-", "−");

  // Lines are interrupted where a group of dates begins and where a value is not known.
  const pieces = (times, values, breaks) => {
    const found = [];
    let piece = null;
    times.forEach((time, k) => {
      if (Number.isNaN(values[k])) { piece = null; return; }
      if (!piece || breaks.some((first) => times[k - 1] < first && first <= time)) {
        piece = { xs: [], ys: [] };
        found.push(piece);
      }
      piece.xs.push(time);
      piece.ys.push(values[k]);
    });
    return found.filter((part) => part.xs.length > 1);
  };

  const columnsOf = (table, items) => {
    const columns = {
      gaps: { x0: [], x1: [], colour: [] }, bars: { x: [], low: [], high: [], colour: [] }, lines: { xs: [], ys: [], colour: [] },
      points: { x: [], y: [], colour: [], marker: [], track: [], day: [], moved: [] }, fits: { xs: [], ys: [], colour: [] },
    };
    const told = [];
    items.forEach((item) => {
      const { name, colour, marker } = table.tracks[item.track];
      const times = datesOf(table.days[item.days]);
      const values = numbers(item.mm);
      const sigma = numbers(item.sigma);
      const breaks = item.breaks.map((d) => d * day);
      times.forEach((time, k) => {
        if (k > 0 && breaks.includes(time)) {
          columns.gaps.x0.push(times[k - 1]);
          columns.gaps.x1.push(time);
          columns.gaps.colour.push(items.length > 1 ? colour : table.shade);
        }
        if (Number.isNaN(values[k])) return;
        const error = Number.isNaN(sigma[k]) ? "" : ` ± ${rounded(sigma[k], 1)}`;
        const point = {
          x: time, y: values[k], colour, marker, track: name, day: written(time), moved: `${rounded(values[k], 1)}${error} mm`,
        };
        Object.entries(point).forEach(([column, value]) => columns.points[column].push(value));
        if (error) {
          columns.bars.x.push(time);
          columns.bars.low.push(values[k] - sigma[k]);
          columns.bars.high.push(values[k] + sigma[k]);
          columns.bars.colour.push(colour);
        }
      });
      pieces(times, values, breaks).forEach((piece) => {
        columns.lines.xs.push(piece.xs);
        columns.lines.ys.push(piece.ys);
        columns.lines.colour.push(colour);
      });
      if (item.fit) {
        pieces(datesOf(table.days[item.fit_days]), numbers(item.fit), breaks).forEach((piece) => {
          columns.fits.xs.push(piece.xs);
          columns.fits.ys.push(piece.ys);
          columns.fits.colour.push(colour);
        });
      }
      const last = values.findLastIndex((value) => !Number.isNaN(value));
      const end = last < 0 ? "no value" : `${rounded(values[last], 1)} mm on ${written(times[last])}`;
      told.push({ name, colour, text: `track ${name}: ${times.length} dates from ${written(times[0])}, ${end}` });
    });
    return { columns, told };
  };

  const limits = (values, part, least) => {
    let low = Infinity;
    let high = -Infinity;
    values.forEach((value) => { low = Math.min(low, value); high = Math.max(high, value); });
    const margin = Math.max((high - low) * part, least);
    return { start: low - margin, end: high + margin, reset_start: low - margin, reset_end: high + margin };
  };

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = (plot, printing = false) => {
    const night = dark.matches && !printing;
    const ink = night ? "#e8ecef" : "#1b2228";
    plot.setv({
      background_fill_color: night ? "#1e252b" : "#ffffff", border_fill_color: night ? "#14191d" : "#ffffff",
      outline_line_color: night ? "#3b464f" : "#ccd3d8",
    });
    [...plot.below, ...plot.left].forEach((axis) => axis.setv({
      major_label_text_color: ink, axis_label_text_color: ink, axis_line_color: ink, major_tick_line_color: ink,
      minor_tick_line_color: null, axis_label_text_font_style: "normal",
    }));
    plot.center.forEach((grid) => grid.setv({ grid_line_color: night ? "#3b464f" : "#e2e6e9" }));
  };
  // One plot for all targets, made when the first is chosen.
  const plotOf = () => {
    drawn ??= (async () => {
      await Bokeh.embed.embed_item(JSON.parse(byId("series-item").textContent));
      const doc = Bokeh.documents.find((one) => one.get_model_by_name("series-plot"));
      const plot = doc.get_model_by_name("series-plot");
      paint(plot);
      dark.addEventListener("change", () => paint(plot));
      window.groundshiftPaper(plot, byId("series"), (printing) => paint(plot, printing));
      return { doc, plot };
    })();
    return drawn;
  };

  const draw = async (id, table, items) => {
    const { columns, told } = columnsOf(table, items);
    byId("series-box").hidden = columns.points.x.length === 0;
    if (byId("series-box").hidden) return;
    const { doc, plot } = await plotOf();
    Object.entries(columns).forEach(([name, data]) => { doc.get_model_by_name(`series-${name}`).data = data; });
    plot.x_range.setv(limits(columns.points.x, 0.03, 5 * day));
    plot.y_range.setv(limits([...columns.points.y, ...columns.bars.low, ...columns.bars.high, ...columns.fits.ys.flat()], 0.06, 0.5));
    byId("series").setAttribute("aria-label", `Displacement of ${id} towards the satellite with time. ${told.map((t) => t.text).join("; ")}`);
    byId("series-key").replaceChildren(...told.map((track) => {
      const line = document.createElement("span");
      const colour = document.createElement("i");
      colour.style.background = track.colour;
      line.append(colour, ` ${track.text}`);
      return line;
    }), `Bars: one standard error; dashes: the fit${columns.gaps.x0.length ? "; shaded: no interferogram joins the dates" : ""}.`);
  };

  const show = async (index, row) => {
    const mine = ++turn;
    chosen = index;
    panel.hidden = !row;
    if (!row) return;
    const id = row.querySelector(".pick").textContent;
    title.textContent = id;
    byId("panel-line").textContent = `${row.cells[1].textContent.trim()}, ${row.cells[3].textContent} mm/yr, `
      + `${row.cells[7].textContent}, score ${row.cells[2].textContent}, ${row.cells[5].textContent} ha`;
    body.setAttribute("aria-busy", "true");
    let known = null;
    try {
      known = await find(index, id);
    } catch (error) {
      known = { about: document.createTextNode(error.message), series: embedded, key: "" };
    }
    // Another target may have been chosen while this one was fetched.
    if (mine !== turn) return;
    body.replaceChildren(known.about ?? "No series was made for this target.");
    body.removeAttribute("aria-busy");
    await draw(id, known.series, known.series.items[known.key] ?? []);
    if (mine === turn) panel.dataset.shown = id;
  };

  // ---- ways through the targets: in the order of the table, as filtered ----
  const shownRows = () => Array.from(document.querySelectorAll("#table tbody tr:not([hidden])"));
  const go = (step) => {
    const rows = shownRows();
    const at = rows.findIndex((row) => Number(row.dataset.index) === chosen);
    const next = rows[at < 0 ? 0 : (at + step + rows.length) % rows.length];
    if (next) document.dispatchEvent(new CustomEvent("groundshift:go", { detail: Number(next.dataset.index) }));
  };
  byId("before").addEventListener("click", () => go(-1));
  byId("after").addEventListener("click", () => go(1));
  const shut = () => {
    const row = document.querySelector(`#t${chosen} .pick`);
    document.dispatchEvent(new CustomEvent("groundshift:go", { detail: -1 }));
    row?.focus();
  };
  byId("shut").addEventListener("click", shut);
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") shut(); });

  document.addEventListener("groundshift:pick", async (event) => {
    const { index, row, keyboard } = event.detail;
    await show(index, row);
    if (!row) return;
    if (keyboard) title.focus();
    else byId("series-box").scrollIntoView({ block: "nearest" });
  });
})();
