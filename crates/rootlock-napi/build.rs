//! Node-API's link flags.

fn main() {
    napi_build::setup();
}
