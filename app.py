"""The way in: `python app.py`. Also what a Hugging Face Space runs."""

from app.main import main

if __name__ == "__main__":
    main()
