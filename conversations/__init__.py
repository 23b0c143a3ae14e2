"""The log: conversations, pictures and templates. The only package that imports sqlalchemy."""
