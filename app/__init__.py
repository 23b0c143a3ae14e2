"""The page: everything a person sees. The only package that imports gradio; it never imports torch."""
