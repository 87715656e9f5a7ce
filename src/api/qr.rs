//! `GET /auth/shares/{id}/qr`: the short form of a link as a QR code, to be printed or shown.

use qrcode::QrCode;
use qrcode::render::svg;

use super::{Answer, ApiError, Call};
use crate::pages;
use crate::request::Reply;
use crate::share::viewer;

/// The server's threads have 100 kB of stack, less than a compressor takes: a picture is drawn on one of its own, in
/// bytes.
const STACK: usize = 1024 * 1024;

/// Pixels for each module of a PNG, and the quiet zone around them in modules (ISO/IEC 18004).
const SCALE: usize = 8;
const QUIET: usize = 4;

/// SVG, or PNG with `format=png`.
pub fn get(call: &Call<'_>, id: &str) -> Answer {
    let share = super::shares::seen_share(call, id)?;
    let verifiers = call.api.gate.identities.verifiers();
    let nothing = |why: &dyn std::fmt::Display| ApiError::new(409, format!("this link opens nothing: {why}"));
    let identity = verifiers.link_once_it_begins(share.clone(), call.now).map_err(|rejection| nothing(&rejection))?;
    if !super::tokens::opens_anything(call, &share, &identity) {
        return Err(nothing(&"none of its studies is here and its maker's to share"));
    }
    let url = share.code_hash.and_then(|_| viewer::short_url(&call.api.shares, &verifiers.links.codes.of(&share.id)));
    let url = url.ok_or_else(|| ApiError::new(404, "this link has no short form"))?;
    let format = call.rest.request.arguments.iter().find(|(name, _)| *name == "format").map(|(_, value)| *value);
    let as_png = match format {
        None | Some("svg") => false,
        Some("png") => true,
        Some(_) => return Err(ApiError::bad("format: svg or png is expected")),
    };
    let body = std::thread::scope(|scope| {
        let draw = || draw(&url, as_png);
        let drawing = std::thread::Builder::new().name("gatehouse-qr".to_owned()).stack_size(STACK);
        let drawing = drawing.spawn_scoped(scope, draw).map_err(|error| error.to_string())?;
        drawing.join().map_err(|_| "drawing failed".to_owned())?
    });
    let body = body.map_err(|error| ApiError::internal(&error))?;
    let content_type = if as_png { "image/png" } else { "image/svg+xml" };
    Ok(Reply::Answer { status: 200, content_type, headers: pages::private_headers(), body })
}

fn draw(url: &str, as_png: bool) -> Result<Vec<u8>, String> {
    let code = QrCode::new(url).map_err(|error| error.to_string())?;
    if as_png {
        return png(&code).map_err(|error| error.to_string());
    }
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build();
    Ok(drawn.into_bytes())
}

/// Black and white, one byte for each pixel.
fn png(code: &QrCode) -> Result<Vec<u8>, png::EncodingError> {
    let modules = code.width();
    let side = (modules + 2 * QUIET) * SCALE;
    let colors = code.to_colors();
    let mut pixels = vec![255_u8; side * side];
    for (at, pixel) in pixels.iter_mut().enumerate() {
        let module = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < modules);
        let dark = module(at % side).zip(module(at / side)).and_then(|(x, y)| colors.get(y * modules + x));
        if dark == Some(&qrcode::Color::Dark) {
            *pixel = 0;
        }
    }
    let mut file = Vec::new();
    let size = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}
