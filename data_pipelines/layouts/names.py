"""The names of the layouts, for `--layout`; nothing here loads TensorFlow."""

LAYOUTS = {
    "imagefolder": "metadata.csv, .jsonl or .parquet beside images",
    "table": "captions.txt, .csv or .tsv, and images",
    "txt": "a .txt beside each image",
    "text_folder": "text_c10/CLASS/IMAGE.txt, and images",
    "webdataset": "tar files of KEY.jpg and KEY.txt or KEY.json",
    "coco": "a captions JSON like COCO's, and images",
}
