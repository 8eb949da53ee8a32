"""HyP3 scene products (GAMMA): all files in one folder, times in the names, unwrapped phase."""

from tests.products.hyp3 import write_product

NAME = "hyp3"
MODULE = "groundshift.io.hyp3"
CRS = "EPSG:32648"


def write(folder, scene):
    for layer in scene.layers:
        dates = f"{layer.first:%Y%m%d}T112312_{layer.second:%Y%m%d}T112313"
        stem = f"S1AA_{dates}_VVP012_INT80_G_ueF_{'74C2' if layer.copy == 0 else 'B00B'}"
        write_product(folder, stem, scene, layer, wrapped=False)
    return folder
