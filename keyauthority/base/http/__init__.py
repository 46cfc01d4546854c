"""HTTP/1 on aiohttp's parser and scheduler, for the edge and the console."""
