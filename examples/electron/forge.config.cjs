module.exports = {
  packagerConfig: {
    // The system loads a library from a file of its own, not from inside an archive.
    asar: { unpack: '**/*.node' }
  },
  makers: [{ name: '@electron-forge/maker-zip' }]
}
