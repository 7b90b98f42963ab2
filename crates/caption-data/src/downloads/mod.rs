//! Known data sets: where they are, and how they come into a folder.

mod obtain;

pub use self::obtain::{DownloadProgress, DownloadStage};

/// A data set that is published as archives; unpacked into one folder they have a layout that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Where its terms of use stand.
    pub terms: &'static str,
    /// The archives.
    pub files: &'static [Archive],
}

/// A ZIP archive of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Archive {
    /// File name.
    pub name: &'static str,
    /// Where it is, over HTTPS.
    pub url: &'static str,
    /// Its size.
    pub bytes: u64,
    /// sha256 of its content, 64 lower-case hexadecimal digits.
    pub sha256: &'static str,
    /// What the names of the files in it begin with that are unpacked; the others are not needed here.
    pub members: &'static str,
}

// COCO publishes no digests; these are found in many independent lists. The host images.cocodataset.org has no certificate of its
// name, the store behind it has one.
const ANNOTATIONS: Archive = Archive {
    name: "annotations_trainval2017.zip",
    url: "https://s3.amazonaws.com/images.cocodataset.org/annotations/annotations_trainval2017.zip",
    bytes: 252_907_541,
    sha256: "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    members: "annotations/captions_",
};
const TRAIN: Archive = Archive {
    name: "train2017.zip",
    url: "https://s3.amazonaws.com/images.cocodataset.org/zips/train2017.zip",
    bytes: 19_336_861_798,
    sha256: "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    members: "train2017/",
};
const VAL: Archive = Archive {
    name: "val2017.zip",
    url: "https://s3.amazonaws.com/images.cocodataset.org/zips/val2017.zip",
    bytes: 815_585_330,
    sha256: "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    members: "val2017/",
};

/// The data sets that are known.
pub const DOWNLOADS: [Download; 1] = [Download {
    name: "coco2017",
    title: "COCO 2017: 118,287 photos for training and 5,000 for validation, five captions each",
    terms: "https://cocodataset.org/#termsofuse",
    files: &[ANNOTATIONS, VAL, TRAIN],
}];

impl Download {
    /// The data set of a name.
    pub fn find(name: &str) -> Option<&'static Download> {
        DOWNLOADS.iter().find(|download| download.name == name)
    }

    /// Bytes of all archives; unpacked they take about as much again.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_named_by_full_digests_over_https() {
        for file in DOWNLOADS.iter().flat_map(|download| download.files) {
            assert!(file.url.starts_with("https://") && file.url.ends_with(file.name), "{}", file.url);
            assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        assert_eq!(Download::find("coco2017").map(Download::bytes), Some(20_405_354_669));
        assert!(Download::find("coco").is_none());
    }
}
