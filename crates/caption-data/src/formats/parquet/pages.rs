//! Pages of a column, held against limits as they are opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;

use super::delta;

/// Most bytes of a column in a row group, unpacked (row groups of Hugging Face have about 500 MB).
pub(super) const MAX_COLUMN_BYTES: i64 = 8 << 30;
/// Most values of lists and dictionaries in the pages that are opened for [`ROWS`](super::ROWS) rows: a page of few bytes may announce
/// billions.
pub(super) const MAX_VALUES: usize = 4 << 20;
/// Most bytes that texts in the pages that are opened for [`ROWS`](super::ROWS) rows take over from those before them: a page of few
/// bytes may repeat a long text millions of times.
const MAX_REPEATED_BYTES: usize = 1 << 30;

pub(super) fn too_large(bytes: i64) -> ParquetError {
    ParquetError::General(format!("a column of {bytes} bytes is too large: write smaller row groups"))
}

/// What a read may still meet in pages that it opens.
#[derive(Default)]
pub(super) struct Budget {
    values: AtomicUsize,
    repeated_bytes: AtomicUsize,
}

impl Budget {
    pub(super) fn renew(&self) {
        self.values.store(MAX_VALUES, Ordering::Relaxed);
        self.repeated_bytes.store(MAX_REPEATED_BYTES, Ordering::Relaxed);
    }

    fn spend(left: &AtomicUsize, amount: usize, message: &str) -> Result<(), ParquetError> {
        let rest = left.load(Ordering::Relaxed).checked_sub(amount);
        left.store(rest.ok_or_else(|| ParquetError::General(message.into()))?, Ordering::Relaxed);
        Ok(())
    }
}

/// Pages of a column. All values of a row are in memory together, and all of a dictionary, so these are counted, and so is what the
/// pages themselves take: the sizes that a file notes beside them are only claims.
pub(super) struct Pages {
    inner: Box<dyn PageReader>,
    defined: bool,
    repeated: bool,
    /// Bytes of the pages so far, unpacked.
    bytes: i64,
    budget: Arc<Budget>,
}

impl Pages {
    /// The pages of a column whose values may be missing or repeated, and what its reader renews before each read.
    pub(super) fn open(inner: Box<dyn PageReader>, defined: bool, repeated: bool) -> (Self, Arc<Budget>) {
        let budget = Arc::new(Budget::default());
        (Self { inner, defined, repeated, bytes: 0, budget: Arc::clone(&budget) }, budget)
    }

    /// Holds a page against the limits, before its values are read.
    fn check(&mut self, page: &Page) -> Result<(), ParquetError> {
        self.bytes += page.buffer().len() as i64;
        if self.bytes > MAX_COLUMN_BYTES {
            return Err(too_large(self.bytes));
        }
        if self.repeated || page.is_dictionary_page() {
            let message = "a list or dictionary has too many values";
            Budget::spend(&self.budget.values, page.num_values() as usize, message)?;
        }
        let repeated = delta::repeated_bytes(page, self.defined, self.repeated)?;
        let message = "delta encoding repeats too many bytes: write the texts in another encoding";
        Budget::spend(&self.budget.repeated_bytes, repeated, message)
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let page = self.inner.get_next_page()?;
        page.as_ref().map_or(Ok(()), |page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool, ParquetError> {
        self.inner.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;

    use super::*;

    /// The same page over and over.
    struct Endless(Page);

    impl PageReader for Endless {
        fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
            Ok(Some(self.0.clone()))
        }

        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
            Ok(None)
        }

        fn skip_next_page(&mut self) -> Result<(), ParquetError> {
            Ok(())
        }
    }

    impl Iterator for Endless {
        type Item = Result<Page, ParquetError>;

        fn next(&mut self) -> Option<Self::Item> {
            self.get_next_page().transpose()
        }
    }

    /// The pages of a column, all like this one, as far as they are read in one go.
    fn read(page: Page, repeated: bool) -> usize {
        let (pages, budget) = Pages::open(Box::new(Endless(page)), false, repeated);
        budget.renew();
        pages.take(10_000).take_while(Result::is_ok).count()
    }

    fn page(buf: Vec<u8>, num_values: u32, encoding: Encoding) -> Page {
        Page::DataPageV2 {
            buf: buf.into(),
            num_values,
            encoding,
            num_nulls: 0,
            num_rows: 1,
            def_levels_byte_len: 0,
            rep_levels_byte_len: 0,
            is_compressed: false,
            statistics: None,
        }
    }

    #[test]
    fn the_bytes_of_pages_are_counted_whatever_the_file_says_of_them() {
        let large = page(vec![0; 1 << 20], 1, Encoding::PLAIN);
        assert_eq!(read(large, false), 8 << 10);
    }

    #[test]
    fn one_read_has_a_budget() {
        let listed = page(Vec::new(), 1 << 20, Encoding::PLAIN);
        assert_eq!(read(listed.clone(), true), 4);
        assert_eq!(read(listed, false), 10_000);
        // Two texts, the second of which begins with all 2^29 bytes of the first.
        let length = [&[0x80, 1, 4, 2, 0][..], &[0x80, 0x80, 0x80, 0x80, 0x04, 0, 0, 0, 0]].concat();
        let rest = [0x80, 1, 4, 2, 0, 0, 0, 0, 0, 0];
        let repeating = page([&length[..], &rest].concat(), 2, Encoding::DELTA_BYTE_ARRAY);
        assert_eq!(read(repeating.clone(), true), 2);
        assert_eq!(read(repeating, false), 2);
    }
}
