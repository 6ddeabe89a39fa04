//! The least that a request to a device costs: HTTP/2 in clear over TCP, nothing to unseal, nobody between, and the
//! bytes in memory already. Windows are the link's, so that what is compared is the way and not their size. Frames are
//! as long as who reads allows.

use axum::{Router, body::Body, extract::Path, routing::get};
use bytes::Bytes;
use foreman_link::h2;
use futures_util::stream;

/// Given to the body at once.
const PIECE: usize = 512 * 1024;

/// About as long as what a device says of itself.
const SMALL: [u8; 600] = [b'x'; 600];

pub async fn serve() {
    let listener = super::listen().await;
    let router = Router::new().route("/small", get(async || &SMALL[..])).route("/bytes/{count}", get(bytes));
    loop {
        let (stream, _) = listener.accept().await.expect("it accepts");
        stream.set_nodelay(true).expect("a TCP stream");
        tokio::spawn(h2::serve(stream, router.clone(), (), std::future::pending()));
    }
}

async fn bytes(Path(count): Path<usize>) -> Body {
    let piece = Bytes::from(vec![0; PIECE]);
    let pieces = (0..count).step_by(PIECE).map(move |at| piece.slice(..PIECE.min(count - at)));
    Body::from_stream(stream::iter(pieces.map(Ok::<_, std::convert::Infallible>)))
}
