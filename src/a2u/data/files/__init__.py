"""Files of datasets: images, folders, archives."""
