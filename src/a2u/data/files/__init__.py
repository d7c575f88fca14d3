"""Read the files of datasets: images, folders, archives."""
