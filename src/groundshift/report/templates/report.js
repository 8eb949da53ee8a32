"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  // By number; the table itself begins with the best.
  const rows = Array.from(document.querySelectorAll("#table tbody tr")).sort((a, b) => a.dataset.index - b.dataset.index);
  const { compare: inWords } = new Intl.Collator("en", { numeric: true });
  let map = null;
  let picked = -1;

  // ---- table ----
  const columnValue = (row, column, type) => {
    const cell = row.cells[column];
    if (type === "text") return cell.textContent.trim().toLowerCase();
    return Number(cell.dataset.value ?? cell.textContent);
  };
  const compare = (a, b) => {
    if (typeof a === "number") {
      // Unknown values come last whichever way the table is sorted.
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || 0;
      return a - b;
    }
    return inWords(a, b);
  };
  const heads = Array.from(document.querySelectorAll("#table thead th"));
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const type = head.dataset.type;
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [columnValue(row, column, type), row]);
    keyed.sort((a, b) => {
      const unknown = Number.isNaN(a[0]) || Number.isNaN(b[0]);
      return down && !unknown ? compare(b[0], a[0]) : compare(a[0], b[0]);
    });
    // The blanks between the rows go: gathered at one end they make the browser take seconds for thousands of rows.
    document.querySelector("#table tbody").replaceChildren(...keyed.map((pair) => pair[1]));
  }));

  const filter = () => {
    const words = byId("search").value.trim().toLowerCase();
    const kind = byId("kind").value;
    const review = byId("reviewed")?.value;
    const slowest = Number(byId("slowest").value) || 0;
    const least = Number(byId("least").value) || 0;
    const shown = rows.map((row) => {
      const speed = Math.abs(Number(row.dataset.speed));
      const keep = (!words || row.textContent.toLowerCase().includes(words)) && (!kind || row.dataset.kind === kind)
        && (!review || row.dataset.review === review)
        && (slowest === 0 || speed >= slowest) && (least === 0 || Number(row.dataset.score) >= least);
      row.hidden = !keep;
      return keep;
    });
    const number = shown.filter(Boolean).length;
    byId("count").textContent = number === rows.length
      ? `${number} target${number === 1 ? "" : "s"}` : `${number} of ${rows.length} targets`;
    if (map) map.showOnly(shown);
  };
  if (byId("filters")) {
    byId("filters").addEventListener("input", filter);
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
  }

  // `from` is map, table or panel; a choice by keyboard moves the focus to the panel, where there is one.
  const pick = (index, from, keyboard = false) => {
    if (index === picked && from === "map") return;
    picked = index;
    rows.forEach((row) => {
      const on = Number(row.dataset.index) === index;
      row.classList.toggle("picked-row", on);
      row.querySelector(".pick").setAttribute("aria-pressed", String(on));
    });
    const row = rows.find((r) => Number(r.dataset.index) === index);
    const line = byId("picked");
    document.dispatchEvent(new CustomEvent("groundshift:pick", { detail: { index, row, keyboard } }));
    if (!row) {
      if (map && from !== "map") map.select(index);
      if (line) line.textContent = "Select a target on the map or in the table.";
      return;
    }
    if (line) {
      line.replaceChildren();
      const name = document.createElement("strong");
      name.textContent = row.querySelector(".pick").textContent;
      line.append(name, ` ${row.cells[1].textContent.trim()}, ${row.cells[3].textContent} mm/yr, score `
        + `${row.cells[2].textContent}. `);
      const link = document.createElement("a");
      link.href = row.querySelector("a") ? `#e${index}` : `#t${index}`;
      link.textContent = row.querySelector("a") ? "Evidence maps" : "Row";
      line.append(link);
    }
    if (from !== "table") {
      const box = document.querySelector(".table-box");
      box.scrollTop = row.offsetTop - box.clientHeight / 3;
    }
    if (map && from !== "map") {
      map.select(index);
      map.show(row.dataset.box.split(",").map(Number));
    }
  };
  rows.forEach((row) => row.querySelector(".pick").addEventListener("click", (event) => {
    pick(Number(row.dataset.index), "table", event.detail === 0);
  }));
  // The address names the chosen target, so that a link to it, or loading the page anew, chooses it again.
  const named = () => {
    const id = new URLSearchParams(location.hash.slice(1)).get("target");
    return rows.find((row) => row.querySelector(".pick").textContent === id);
  };
  const resume = () => {
    const row = named();
    if (row) pick(Number(row.dataset.index), "panel");
  };
  document.addEventListener("groundshift:pick", ({ detail: { row } }) => {
    const page = location.pathname + location.search;
    if (row) history.replaceState(null, "", `${page}#${new URLSearchParams({ target: row.querySelector(".pick").textContent })}`);
    else if (named()) history.replaceState(null, "", page);
  });
  window.addEventListener("hashchange", resume);
  document.addEventListener("groundshift:go", (event) => pick(event.detail, "panel"));
  document.addEventListener("groundshift:filter", () => { if (byId("filters")) filter(); });

  // ---- print: closed parts are opened ----
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));

  // Paper is narrower than the screen, and plots are not laid out anew in time: they are printed as pictures.
  window.groundshiftPaper = (plot, holder, paint) => {
    window.addEventListener("beforeprint", () => {
      paint(true);
      if (holder.clientWidth === 0) return;
      const { canvas } = Bokeh.index.find_one(plot).export("png", true);
      canvas.className = "on-paper";
      holder.after(canvas);
    });
    window.addEventListener("afterprint", () => {
      if (holder.nextElementSibling?.className === "on-paper") holder.nextElementSibling.remove();
      paint(false);
    });
  };

  // ---- map ----
  const start = async () => {
    const item = JSON.parse(byId("map-item").textContent);
    const about = JSON.parse(byId("map-about").textContent);
    await Bokeh.embed.embed_item(item);
    const doc = Bokeh.documents[0];
    const named = (name) => doc.get_model_by_name(name);
    const plot = named("plot");
    const source = named("targets");
    const outlines = named("outlines");
    const halo = named("halo");
    const marks = named("marks");
    const { home } = about;

    // Equal scale on both axes, for any shape of the frame.
    const fit = ([west, south, east, north]) => {
      const width = plot.inner_width || 800;
      const height = plot.inner_height || 500;
      const scale = Math.max((east - west) / width, (north - south) / height, 1 / width);
      const x = (west + east) / 2;
      const y = (south + north) / 2;
      plot.x_range.setv({ start: x - (scale * width) / 2, end: x + (scale * width) / 2 });
      plot.y_range.setv({ start: y - (scale * height) / 2, end: y + (scale * height) / 2 });
    };
    // A place with its surroundings, as far as there is a map of them.
    const around = (low, high, first, last) => {
      const half = Math.max(2.5 * (high - low), 750);
      const middle = (low + high) / 2;
      return [Math.max(middle - half, Math.min(first, low)), Math.min(middle + half, Math.max(last, high))];
    };
    const show = ([west, south, east, north]) => {
      const [left, right] = around(west, east, home[0], home[2]);
      const [bottom, top] = around(south, north, home[1], home[3]);
      fit([left, bottom, right, top]);
    };
    // Small places are shown as marks; the marks go where outlines are large enough to be seen.
    const sizes = rows.map((row) => {
      const [west, south, east, north] = row.dataset.box.split(",").map(Number);
      return Math.max(east - west, north - south);
    }).sort((a, b) => a - b);
    const middle = sizes.length ? sizes[Math.floor(sizes.length / 2)] : 0;
    const hover = plot.toolbar.tools.find((tool) => tool.name === "hover");
    const choose = () => {
      const on = !byId("show-targets") || byId("show-targets").checked;
      const pixels = (middle * (plot.inner_width || 800)) / (plot.x_range.end - plot.x_range.start);
      const small = pixels < 18;
      marks.visible = on && small;
      outlines.visible = halo.visible = on && !(pixels < 4);
      if (hover) hover.renderers = [small ? marks : outlines];
    };
    // A mercator metre is shorter on the ground the farther it lies from the equator: 1 / cosh(y / R).
    const measure = () => {
      const middleY = (plot.y_range.start + plot.y_range.end) / 2;
      const perPixel = (plot.x_range.end - plot.x_range.start) / (plot.inner_width || 800) / Math.cosh(middleY / 6378137);
      const power = 10 ** Math.floor(Math.log10(perPixel * 130));
      const length = [5, 2, 1].find((step) => step * power <= perPixel * 130) * power;
      const [label, bar] = byId("ground-scale").children;
      label.textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`;
      // In parts of the frame's width, so that it is right on paper too.
      bar.style.width = `${(100 * length) / perPixel / byId("map").parentElement.clientWidth}cqw`;
      byId("ground-scale").classList.add("on");
    };
    plot.x_range.properties.end.change.connect(() => { choose(); measure(); });
    const resized = () => {
      const x = (plot.x_range.start + plot.x_range.end) / 2;
      const y = (plot.y_range.start + plot.y_range.end) / 2;
      const half = (plot.y_range.end - plot.y_range.start) / 2;
      fit([x, y - half, x, y + half]);
    };
    plot.properties.inner_width.change.connect(resized);
    plot.properties.inner_height.change.connect(resized);

    const paintLayers = () => {
      const chosen = document.querySelector("input[name=layer]:checked");
      const name = chosen && chosen.value !== "" ? about.names[Number(chosen.value)] : null;
      const track = byId("track") ? byId("track").value : "";
      const opacity = byId("opacity") ? Number(byId("opacity").value) : 1;
      const base = !byId("base") || byId("base").checked;
      let first = null;
      about.layers.forEach((layer) => {
        const here = track === "" || layer.track === Number(track);
        const model = named(layer.model);
        model.visible = here && (layer.base ? base : layer.name === name);
        model.glyph.global_alpha = { value: layer.base ? 1 : opacity };
        if (!layer.base && model.visible && !first) first = layer;
      });
      // Where tracks look from; with many of them only that of the chosen one.
      document.querySelectorAll("#looks li").forEach((item, k, all) => {
        item.hidden = track === "" ? all.length > 3 : item.dataset.track !== track;
      });
      const scale = byId("layer-scale");
      if (!scale) return;
      scale.replaceChildren();
      if (!first) return;
      const line = document.createElement("span");
      line.className = "scale";
      const low = document.createElement("span");
      low.textContent = first.low;
      const strip = document.createElement("span");
      strip.className = "strip";
      strip.style.background = `linear-gradient(to right,${first.stops.join(",")})`;
      const high = document.createElement("span");
      high.textContent = first.high;
      line.append(low, strip, high);
      const caption = document.createElement("p");
      caption.textContent = first.unit ? `${first.name} (${first.unit})` : first.name;
      scale.append(caption, line);
    };
    byId("controls").addEventListener("input", () => { paintLayers(); choose(); });
    byId("controls").addEventListener("submit", (event) => event.preventDefault());

    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const paint = (printing = false) => {
      const night = dark.matches && !printing;
      const ink = night ? "#e8ecef" : "#1b2228";
      plot.background_fill_color = night ? "#262e34" : "#e6e9eb";
      plot.border_fill_color = night ? "#14191d" : "#ffffff";
      plot.outline_line_color = night ? "#3b464f" : "#ccd3d8";
      [...plot.below, ...plot.left].forEach((axis) => axis.setv({
        major_label_text_color: ink, axis_label_text_color: ink, axis_line_color: ink, major_tick_line_color: ink,
        minor_tick_line_color: null, axis_label_text_font_style: "normal",
      }));
    };
    dark.addEventListener("change", () => paint());
    window.groundshiftPaper(plot, byId("map"), paint);

    map = {
      show,
      select: (index) => { source.selected.indices = index < 0 ? [] : [index]; },
      showOnly: (shown) => { named("shown").booleans = shown; },
    };
    source.selected.properties.indices.change.connect(() => {
      const indices = source.selected.indices;
      pick(indices.length ? indices[0] : -1, "map");
    });
    paint();
    paintLayers();
    fit(home);
    choose();
    measure();
    document.documentElement.dataset.map = "ready";
    // The scripts that follow listen by then.
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", resume);
    else resume();
  };
  if (byId("map-item")) start();
})();
