"""Azure Computer Vision and Azure AI Image Analysis."""
