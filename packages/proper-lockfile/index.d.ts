export * from 'rootlock/proper-lockfile'
