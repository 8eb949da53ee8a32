"""The inventory: detections merged into targets with identities that last, and the files that hold them."""
