module.exports = require('rootlock/proper-lockfile')
