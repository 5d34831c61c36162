// A channel that nobody subscribes to.
exports.channel = () => ({ hasSubscribers: false, publish() {} })
