// swift-tools-version:5.3

import PackageDescription

let package = Package(
  name: "foreman-ios-push",
  platforms: [.iOS(.v13)],
  products: [.library(name: "foreman-ios-push", type: .static, targets: ["foreman-ios-push"])],
  dependencies: [.package(name: "Tauri", path: "../.tauri/tauri-api")],
  targets: [.target(name: "foreman-ios-push", dependencies: [.byName(name: "Tauri")], path: "Sources")]
)
