"""What a wrong declaration of frame or axis would do to the map at hand."""
