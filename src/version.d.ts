/** The version of this package and of the binding that fits it; `npm version` writes it (scripts/version.mts). */
export declare const version = "0.1.0";
