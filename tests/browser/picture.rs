//! What can be seen on a screenshot.

/// A decoded screenshot.
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// From PNG.
    pub fn decode(png: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let samples = info.color_type.samples();
        assert!(samples >= 3, "a screenshot has colours");
        let pixels = bytes[..info.buffer_size()].chunks(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width: info.width as usize, height: info.height as usize, pixels }
    }

    /// How many grey values there are in the middle, a third of the width and of the height, that more than a few
    /// pixels have: the edges of letters are of all greys, too.
    pub fn greys_in_the_middle(&self) -> usize {
        const A_FEW: usize = 60;
        let (columns, rows) = (self.width / 3..self.width * 2 / 3, self.height / 3..self.height * 2 / 3);
        let mut counts = [0_usize; 256];
        for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
            let [red, green, blue] = self.pixels[row * self.width + column];
            if red == green && green == blue {
                counts[usize::from(red)] += 1;
            }
        }
        counts.iter().filter(|count| **count > A_FEW).count()
    }
}
