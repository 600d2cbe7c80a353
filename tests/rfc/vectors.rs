//! Tokens that no library here makes: signed once with other tools, by keys that were thrown away.
//! All have the same claims: those of a good access token for [`crate::support::AUDIENCE`], issued
//! in 2023, that expires in 2100.

/// The claims of every token here, encoded.
pub const CLAIMS: &str = "eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUuY29tIiwic3ViIjoiYWxpY2UiLCJhdWQiOiJodHRwczovL2FwaS5leGFtcGxlLmNvbSIsImNsaWVudF9pZCI6ImFwcCIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjo0MTAyNDQ0ODAwLCJqdGkiOiIxIn0";

/// The modulus of an RSA key of 1024 bits; its exponent is AQAB. Its kid is `rsa-1024`.
pub const RSA_1024: &str = "3i_oMVNFID-okVhZxMj1MiByqlbcwsrTS5V42EwdGpboS6b-_isz1aM7-opx6s1C2DKXO4JB8d3R3-EnKn1oXD_CbTTgLJdf_tmB_pHU17fVCikKY-AaNvemkeVUD-hj2JTZgJl-VHawNJXKy6c6CQIc5epg7z59oMIdPSNY9r0";

/// The modulus of an RSA key of 2048 bits; its exponent is AQAB. Its kid is `rsa-2048`.
pub const RSA_2048: &str = "qI5kRVm4QpSECkhevwFzZvJMB6XjsOeqb2SqSwOszBPkwHP_nuf3Irdk7mefEg6u-m5OjtCIAbETFoMK58nMtjMu4VLE7dYAKLWyjGAVLNXM145Jlr-QOsEBXtH3MorfycvYwPcER4vBzfm3lSfrL55fG8xFaILpibTRSwIJlRSHHPO6iOyc7c8gUWzJVBSTmAZe1hihAhwjByfDPJJP-BSJ4vucMLLu8ddoY5Mfn5DNu_OYqtDXxEL9VlG9Aoh0vdyJ2rDDWDwnC9_M8roIhmwAunJgpR1mjO4sQxkdj6he7bh5-R2KQcTuIovGHL1XgG5hAo4Wd8vWDZ0UH8IqMw";

/// The header of RS256 under `rsa-1024`, and the signature.
pub const RS256_BY_1024: [&str; 2] = [
    "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6InJzYS0xMDI0In0",
    "vmeWyGg37SCSbqA9-jgrQ_5HlO2uabE7tHjUw9KuAfY6kRDd4l5QaXf6jAAYjiVZqLxqBK9z1J-3ccb_--MqXNVX7VNudPjm9NMu6xHZjXEP26GD78llVo6ia9CuL4mhWGz7dm19_qo1FE6u5n4CtZ__y3LAfSixdzcW5ZwX-GY",
];

/// The header of RS256 under `rsa-2048`, and the signature.
pub const RS256_BY_2048: [&str; 2] = [
    "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6InJzYS0yMDQ4In0",
    "BfIc4rMoGYUUhY1Au_uq19Ed2qPpm5mBn-xCG_HUeOBnZyMzy414QFvyWICL8uZ4qka4SCqkAFUNrYfJcGw7p9jRTEPtXsdHugOlJTv7uiXqL2I0vgariwwW_Csl7WwCvh2LzBOqjaDmLWhtrgg8YX4WSPTtRXLCXNLP5IIO2uhp9f7TnqLChY38NM-j9VDMqNzlOHYfXa56Crywd_Qyst_mCllUcS6itkjBuVkN1aJnl5_fwSaYaoiZJXNh8cMIxhLu9ombwaxXas5qX6ma3R2QfYi1i3L37OUI7WLD51sB0k9wJuXy3vEa-zAwPdSwT16a98JCAP7JCgP85lgeBA",
];

/// The header of PS256 under `rsa-2048`.
pub const PS256_HEADER: &str = "eyJhbGciOiJQUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6InJzYS0yMDQ4In0";

/// PS256 as RFC 7518 section 3.5 has it: a salt of 32 octets, MGF1 with SHA-256.
pub const PS256: &str = "kPn0VaBGZDtrLsmJo6kLGbzWwAsGFWyEZXFGG8AZqAK-e9FWUC3YXy2fqUb9HjcIIudlhfwg2SdiEEBi_5MBv9VrxRV12vMs_2f0v1VeWkHuCLGWsMa8EX7LUIPiRkWBH6EI-p7bCwArZW_23F2WLSQ8doFJAxcBvT8BSTPjgiT3riBc7TpIMj8iw1yb6bVuxk7TY9KhpeLiLJyoXA5fp89c1I6A-bLEJyozqA-q0lKL0nEnlTLvotJsK6urDC8cB9w1vDyegAWA_IfBa9SJgp04ia_utWKzksYBRPaA0eWU-WujIPMs29OXB4v-QwWHDpscGt_vyEO_6Fzno8odew";

/// A salt of no octets.
pub const PS256_NO_SALT: &str = "YvMC1EfUM1QMXln66lbSXjToEtI4TXUZcawzZfoNfDymF3rr1iNz2Fq7QmDL2ay2gKSYoeDnY7GmSaNl7byv8kiiIYQXBPVDthW_s2ZjdurZm60wMRNX_LEMvlnhzYP80Y1vbuk0cxn0c8h0YMOPJjridSV59hMGruKUJEjV-4izb5A2Xn6UFkfYTkajdDbfaQ3HHPjqZhMWWFpGnrw6bXl5kQ_AjTijdJNYWnWu-yf53Gw-IfQ1NGfsGdFET1Af5AjqJo8UUlPIwlGAA6JSWuCNoJ86KpgmgafF7SOv6bpZVEdpo_Uu5rG95BCz2npWGapYR6z444ayU-d2BcRp7Q";

/// A salt of 20 octets.
pub const PS256_SHORT_SALT: &str = "N1hlLY7h5YWm2FmSz7SR2fGHnw2331jSu-mupTNjdOn8ZSM0ZXej98ZV4Pyrkz4xQP1slZxaew8TFsz3BfTNOwYIZ4YGxFDvtQlBUgHaJXxJRaAVPe2vJXqsMzo4q4tsajHlSWF8n1Q9I5sJSlsK1uJfuAx44Gc7rftpq7ErFGg80K2PLQjPK9XmTlPjRFt092TR7sNRxMNklns693pCH3cPEP1gYIMsqxAQlIqu9g6huOfJcngTcI0OToH70CfxqI1cu9pIZX4QxsiTlrkhXVqAORuDkMLoJKnDjd13u0NgU12sIDCHRv5WXo02u2Y5gxax47uyvuYNnOV8ug4TjA";

/// A salt of 32 octets, and MGF1 with SHA-1.
pub const PS256_OTHER_MASK: &str = "UsOexi5taSX5ZH4LDjvEBKI0fLzTMfdGGKz1QR5s8btyCTp4x8w35iT0ON57NM6DQ-EsuzSMoKQhypvaMHP2dCljZJydLV3-BePdUGAkK19SmE9-2y3pHBqDkKk-zIhvKND_brp1W0jBj1rCuWcVrEDVZ_BO6lAqHEoOhgCX_qhcP3DgB9aIhjSqD9w1if63CtvIeF-JQN-kjBCgv27DbvRnctyXS0nsgvSOjIEhEFj9_-wijwCMJJyYpIs8s1tMsQFExmJz5CQ-HDslFsDSvc2RNpNwBdv3wSM7fxYhCIRcnBSMPYlEafsYyWuhKGporPszHSnUk6pMNjgkGxQlAQ";
