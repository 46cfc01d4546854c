"""HTTP/1 on aiohttp's parser and scheduler, for the gateway and the console."""
