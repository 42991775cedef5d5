//! CIFAR batches and folders of images, made here in the true formats, sound and broken.

use super::{Place, gzip};
use dualnet_io::{Array, Data, Loaded, Options, load};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};
use std::fs;

/// Samples, labels, test set and names of classes.
type Set = (Array, Option<Vec<f64>>, Option<(Array, Vec<f64>)>, Option<Vec<String>>);

fn set(place: &Place, name: &str) -> Set {
    match load(&place.path(name), &Options::default()).unwrap() {
        Loaded::Arrays { x, y, test, classes } => {
            (x, y.map(Array::into_f64), test.map(|t| (t.0, t.1.into_f64())), classes)
        }
        Loaded::Table(table) => panic!("a table: {table:?}"),
    }
}

fn bytes(array: &Array) -> &[u8] {
    match &array.data {
        Data::U8(v) => v,
        other => panic!("not bytes: {other:?}"),
    }
}

/// A record whose pixel p of channel c is p + 7 c + label, modulo 256.
fn record(head: &[u8]) -> Vec<u8> {
    let value = |c: usize, p: usize| (p + 7 * c + usize::from(*head.last().unwrap())) as u8;
    head.iter().copied().chain((0..3).flat_map(|c| (0..1024).map(move |p| value(c, p)))).collect()
}

fn ten(labels: &[u8]) -> Vec<u8> {
    labels.iter().flat_map(|&l| record(&[l])).collect()
}

#[test]
fn cifar_10_is_transposed_and_named() {
    let place = Place::new();
    fs::create_dir(place.path("c")).unwrap();
    place.put("c/data_batch_3.bin", ten(&[9]));
    place.put("c/data_batch_1.bin", gzip(&ten(&[2, 0])));
    place.put("c/test_batch.bin", ten(&[1]));
    place.put("c/readme.html", "about");
    place.put("c/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nlast one\n\n");
    let (x, y, test, classes) = set(&place, "c");
    assert_eq!((x.shape.as_slice(), y.unwrap()), (&[3, 32, 32, 3][..], vec![2.0, 0.0, 9.0]));
    // Sample 2 (label 9), row 4, column 5, green: pixel 133.
    assert_eq!(bytes(&x)[2 * 3072 + 133 * 3 + 1], (133 + 7 + 9) as u8);
    let (test_x, test_y) = test.unwrap();
    assert_eq!((test_x.shape.as_slice(), test_y), (&[1, 32, 32, 3][..], vec![1.0]));
    assert_eq!(classes.unwrap()[9], "last one");
}

#[test]
fn cifar_100_gives_fine_labels() {
    let place = Place::new();
    fs::create_dir(place.path("c")).unwrap();
    place.put("c/train.bin", [record(&[19, 99]), record(&[0, 5])].concat());
    let (x, y, test, classes) = set(&place, "c");
    assert_eq!((x.rows(), y.unwrap(), test, classes), (2, vec![99.0, 5.0], None, None));
}

#[test]
fn broken_cifar_batches_are_named() {
    let place = Place::new();
    fs::create_dir(place.path("c")).unwrap();
    let ok = Options::default();
    place.put("c/test_batch.bin", ten(&[1]));
    assert!(
        place.error("c", &ok).contains("expected a training batch, data_batch_1.bin to 5, found test_batch.bin alone")
    );
    let path = place.put("c/data_batch_2.bin", &ten(&[1, 2])[..6145]);
    assert_eq!(
        place.error("c", &ok),
        "c/data_batch_2.bin: the records: expected records of 3073 bytes, found 6145 bytes; \
         the file is truncated or of another kind: copy or download it again"
    );
    fs::write(&path, gzip(&ten(&[1, 2])[..6145])).unwrap();
    assert!(place.error("c", &ok).contains("data_batch_2.bin: record 2: 1 of 3073 bytes are missing"));
    fs::write(&path, "").unwrap();
    assert!(place.error("c", &ok).contains("found 0 bytes"));
    fs::write(&path, ten(&[0, 10])).unwrap();
    assert!(place.error("c", &ok).contains("the label of record 2: expected a number below 10, found 10"));
    fs::write(&path, ten(&[0, 9])).unwrap();
    place.put("c/batches.meta.txt", "cat\ndog\ncat\n");
    assert!(place.error("c", &ok).contains("expected 10 different names, one a line, found 3 lines, 2 different"));
    fs::remove_file(place.path("c/batches.meta.txt")).unwrap();
    let little = Options { max_bytes: 4000, ..ok.clone() };
    assert!(place.error("c", &little).contains("at least 6146 bytes are needed, the limit is 4000"));
    place.put("c/train.bin", record(&[20, 5]));
    assert!(place.error("c", &ok).contains("expected batches of CIFAR-10 or of CIFAR-100, found some of both"));
    fs::create_dir(place.path("h")).unwrap();
    place.put("h/train.bin", record(&[20, 5]));
    assert!(place.error("h", &ok).contains("the label of record 1: expected a number below 20, found 20"));
}

/// Grey pixels that say where they are.
fn grey(height: u32, width: u32, shift: u8) -> GrayImage {
    ImageBuffer::from_fn(width, height, |x, y| Luma([(10 * y + x) as u8 + shift]))
}

fn save(place: &Place, name: &str, image: impl Into<DynamicImage>) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

#[test]
fn class_folders_are_sorted_and_stay_grey() {
    let place = Place::new();
    save(&place, "p/oak/2.png", grey(3, 4, 2));
    save(&place, "p/oak/1.png", grey(3, 4, 1));
    save(&place, "p/fir/a.png", grey(3, 4, 0));
    place.put("p/.hidden", "");
    let (x, y, test, classes) = set(&place, "p");
    assert_eq!((x.shape.as_slice(), y.unwrap(), test), (&[3, 3, 4, 1][..], vec![0.0, 1.0, 1.0], None));
    assert_eq!(classes.unwrap(), ["fir", "oak"]);
    // Row 2, column 3 of each.
    assert_eq!([11, 23, 35].map(|at| bytes(&x)[at]), [23, 24, 25]);
}

#[test]
fn one_image_in_colour_makes_all_of_them_so() {
    let place = Place::new();
    save(&place, "p/train/a/1.png", grey(2, 2, 5));
    save(&place, "p/train/b/1.png", ImageBuffer::from_pixel(2, 2, LumaA([9u8, 255])));
    save(&place, "p/test/b/1.png", RgbImage::from_pixel(2, 2, Rgb([1, 2, 3])));
    save(&place, "p/test/b/2.png", ImageBuffer::from_pixel(2, 2, Rgba([4u8, 5, 6, 255])));
    let (x, y, test, classes) = set(&place, "p");
    assert_eq!(
        bytes(&x),
        [5, 5, 5, 6, 6, 6, 15, 15, 15, 16, 16, 16].iter().chain(&[9; 12]).copied().collect::<Vec<_>>()
    );
    let (test_x, test_y) = test.unwrap();
    assert_eq!((x.rows(), y.unwrap(), test_y, classes.unwrap().len()), (2, vec![0.0, 1.0], vec![1.0, 1.0], 2));
    assert_eq!(bytes(&test_x)[9..15], [1, 2, 3, 4, 5, 6]);
}

#[test]
fn jpeg_and_images_without_classes_are_read() {
    let place = Place::new();
    fs::create_dir(place.path("p")).unwrap();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 100)
        .encode_image(&RgbImage::from_pixel(8, 8, Rgb([200, 10, 60])))
        .unwrap();
    place.put("p/1.jpg", &jpeg);
    let (x, y, test, classes) = set(&place, "p");
    assert_eq!((x.shape.as_slice(), y, test, classes), (&[1, 8, 8, 3][..], None, None, None));
    assert!(bytes(&x)[..3].iter().zip([200u8, 10, 60]).all(|(a, b)| a.abs_diff(b) <= 3), "{:?}", &bytes(&x)[..3]);
    // A name says nothing: content does.
    place.put("p/1.png", jpeg);
    assert_eq!(set(&place, "p").0.rows(), 2);
}

#[test]
fn folders_that_are_no_sets_are_refused() {
    let place = Place::new();
    let ok = Options::default();
    save(&place, "p/a/1.png", grey(3, 4, 0));
    save(&place, "p/b/1.png", grey(4, 3, 0));
    let error = place.error("p", &ok);
    assert!(error.starts_with("p/b/1.png: the image: expected 3 x 4 pixels (height x width), as in "), "{error}");
    assert!(
        error.ends_with("p/a/1.png, found 4 x 3 pixels (height x width); bring all images to one size first"),
        "{error}"
    );
    place.put("p/b/1.png", "not an image");
    assert!(
        place.error("p", &ok).starts_with("p/b/1.png: the image: expected a PNG or JPEG image, found other content")
    );
    place.put("p/b/1.png", "GIF89a........");
    assert!(place.error("p", &ok).contains("image/gif (.gif) is not supported; save it as PNG"));
    let whole = fs::read(place.path("p/a/1.png")).unwrap();
    place.put("p/b/1.png", &whole[..whole.len() - 20]);
    assert!(place.error("p", &ok).starts_with("p/b/1.png: "));
    fs::remove_file(place.path("p/b/1.png")).unwrap();
    assert_eq!(
        place.error("p", &ok),
        "p/b: the folder: expected at least one image, found none; add some, or remove it"
    );
    fs::create_dir(place.path("p/b/c")).unwrap();
    assert!(place.error("p", &ok).starts_with("p/b: the folder: expected images alone, found the folder c"));
    place.put("p/notes.txt", "");
    assert!(place.error("p", &ok).starts_with("p/notes.txt: the path: expected folders of classes alone"));
    fs::create_dir(place.path("q")).unwrap();
    place.put("q/notes.txt", "");
    assert!(
        place
            .error("q", &ok)
            .contains("or a folder of PNG or JPEG images for each class, found other files, such as notes.txt")
    );
    save(&place, "r/train/a/1.png", grey(2, 2, 0));
    save(&place, "r/test/b/1.png", grey(2, 2, 0));
    assert!(
        place
            .error("r", &ok)
            .starts_with("r/test/b: the folder: expected one of the classes of the training set, a, found")
    );
    assert!(place.error("p/a/1.png", &ok).contains("a single image is not supported; name the folder it lies in"));
    let labelled = Options { labels: Some(place.path("y")), ..ok };
    assert!(place.error("r", &labelled).contains("labels in the folder and in --labels"));
}

#[test]
fn what_would_lose_something_is_refused() {
    let place = Place::new();
    let ok = Options::default();
    save(&place, "p/1.png", ImageBuffer::from_pixel(2, 2, Luma([300u16])));
    assert!(place.error("p", &ok).contains("16 bits a channel is not supported; save it with 8"));
    save(&place, "p/1.png", ImageBuffer::from_fn(2, 2, |_, y| Rgba([1u8, 2, 3, if y == 1 { 254 } else { 255 }])));
    assert!(place.error("p", &ok).contains("the image, row 1 of pixels: a pixel that is not opaque is not supported"));
    // A header that claims more than may be taken.
    save(&place, "p/1.png", grey(200, 200, 0));
    let little = Options { max_bytes: 30_000, ..ok.clone() };
    assert!(place.error("p", &little).contains("at least 40000 bytes are needed, the limit is 30000"));
    let mut huge = fs::read(place.path("p/1.png")).unwrap();
    huge[16..24].copy_from_slice(&[0, 0, 0x3f, 0xff, 0, 0, 0x3f, 0xff]);
    place.put("p/1.png", &huge);
    assert!(place.error("p", &ok).starts_with("p/1.png: "));
}
