"""Writing checkpoints in other layouts, so that what is trained here opens elsewhere. See docs/converting.md.

A writer fills a folder that is there and empty; `new_folder` makes it, and puts it in place once it is whole.
"""
