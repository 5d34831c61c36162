/** Of this package and of the binding that fits it; `npm version` writes it here (scripts/version.mts). */
export const version = '0.1.0'
