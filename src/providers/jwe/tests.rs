use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{
    testing::{Recipient, seal},
    *,
};

/// The key of RFC 7516 appendix A.1.3, as PKCS#8.
const RSA: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQChqFQihbDQrS6wo245HofjCR/igFRcdPFG+BvjwT4FW/GR4M2N\
    sLiF7ytRZwmhmZ2zaHszvSKYRWFFTl2Mg1e2qWVcjgMWpwjUOCNP0t7A0PwxbYqt/dKmyT9mSgWeKVqQbKBPClne56wf48UAE0hR\
    ik6I3Xl2xBGSCvS8SHE33aLZqxs56dJl7JrHOIrvZTDGusqgTG/qRzm3BdOriH5AKEs6WfT+a1RnB+xFoxK0+zqZLpeuDGfFtaGi\
    N/rre24RC54YL4UIx+trfoL2ScMUbMqw1rstkrZ2NiDIPclH8wH/g1Qlb9Oo5C3AdhvF6+gkCub4vlK2jCPMbL79urobAgMBAAEC\
    ggEBAJC3bSI+hmw5LPwKQkk2ELXpXDbbZSojsj8zK1x3iPspNRe/pKQ8WOPlmOTVleSp7WhHl0tY/NhN++ccYVjB18r42HnD0/X6\
    cEfzPYFfJ/R64dmp06Uw/dw7etsqVt8g7CcwZ0562LtYsFkYASqxGGOOqgGSKwNsQMJ5tl+7hkdYYIZKg6dFao95G0gs9V8nwrOv\
    y3oQcLcRyMofEYqcuNKduJqDgG4MVcN68U/75bd1FXuFjtyZCTs5aVH/ik1SNj7YJvnQEcUxLRPonfuDia9IfivlRbN1Up3VUyM5\
    0sX8q4/CCy+jBv1L/GALu1SC0gd5TltPOfuKhNw84K044MkCgYEA1r52Xk46c+LsfB5P442p7atdPUrxQSy4mti/tZI3Mgf2EuFV\
    bUoDBvaRQ+SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv/hI2/1eTSPVZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN/rK\
    rbfDIwUbTrjjgieRbwC6Cl0CgYEAwLb35x7hmQWZsWJmB/vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx/8F\
    yw1YYa9XGrGnDew00J28cRUoeBB/jKI1oma0Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtcC\
    gYBkr5jATt2JSHSpHW1HvDxYe2iUPHcxn85OjCIW+B95DdKKt6xeOb2BnkouExe+j67P4pQlYPFLmkVD8zR692jV0qJFONXD/Hg3\
    KrJc8zmdQs+RylTzbuuelnMAkql2FYCCqtcYoAQJAfRe3i1rOeOd3/NWkCZlmrrRY8wEx8py4QKBgA6tIH4CdQ3RRl4i70BGZ7ih\
    DdFFJrCQcZI8nXN4+GWHQYjEQMvOsdLxwo8sHDJWGIOMqAuGGWvYTVXLI6gNxXoi9fa5PIOkJ9vU7dHI/Kqshac/bzQwVHwgIiVX\
    hEjoyQ2T2B3R2PL9W/qPmdl+bby8fkwnpH+6Mcnig1Kilo4rAoGAVIMpMYbPf47dT1w/zDUXfPimsSegnMOA1zTaX7aGk/8urY6R\
    8+ZW1FxU7AlWAyLWybqq6t16VFd7hQd0y6flUK4SlOydB61gwanOsXGOAOv82cHq0E3eL4HrtZkUuKvnPrMnsUUFlfUdybVzxyjz\
    9JF/XyaY14ardLSjf4L/FNY=";
/// Bob's key of RFC 7518 appendix C, as PKCS#8.
const P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdyhRANCAATB\
    40nLYexwJIzoAQNMODThuI6+EWHLJa84dB94X8/ExHvJZwjvgJUrU/jSVV/nK4Qe0EWIYosdN4pZSTlQDsnJ";

const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln";

fn key(pkcs8: &str) -> DecryptionKey {
    DecryptionKey::from_pkcs8(&STANDARD.decode(pkcs8).unwrap()).unwrap()
}

fn open(token: &str, keys: &[&Recipient]) -> Result<Option<String>, JweError> {
    let keys: Vec<_> = keys.iter().map(|recipient| recipient.key.clone()).collect();
    let opened = opened(&Secret::new(token.to_owned()), &keys);
    opened.map(|opened| opened.map(|text| text.expose().clone()))
}

/// Any content, not only a JWT.
fn content(token: &str, key: DecryptionKey) -> String {
    String::from_utf8(Jwe::parse(token).unwrap().open(&[key]).unwrap()).unwrap()
}

/// RFC 7516 appendix A.1.
#[test]
fn the_example_of_the_specification_opens() {
    let token = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckC\
        L9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-\
        StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-\
        vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVC\
        WTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX\
        _EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ";
    assert_eq!(content(token, key(RSA)), "The true sign of intelligence is not knowledge but imagination.");
}

/// RFC 7516 appendix A.3.6: its key is not found in a way that is done here, but its content is encrypted in one that is.
#[test]
fn the_example_with_cbc_opens() {
    let cek = [
        4, 211, 31, 197, 84, 157, 252, 254, 11, 100, 157, 250, 63, 170, 106, 206, 107, 124, 212, 45, 111, 107, 9, 219,
        200, 177, 0, 240, 143, 156, 44, 207,
    ];
    let read = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let (iv, tag) = (read("AxY8DCtDaGlsbGljb3RoZQ"), read("U0m_YmjN04DJvceFICbCVQ"));
    let open = |iv: &[u8], tag: &[u8]| {
        let jwe = Jwe {
            management: Management { name: "", way: Way::Rsa(&OAEP_SHA1_MGF1SHA1) },
            encryption: Encryption::A128CbcHs256,
            header: "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
            encrypted_key: Vec::new(),
            iv: iv.to_vec(),
            ciphertext: read("KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY"),
            tag: tag.to_vec(),
        };
        jwe.encryption.open(&cek, &jwe)
    };
    assert_eq!(open(&iv, &tag).unwrap(), b"Live long and prosper.");
    for tag in [&tag[..15], &[], &[&tag[..], &[0]].concat()] {
        assert_eq!(open(&iv, tag), None);
    }
    assert_eq!(open(&iv[..15], &tag), None);
}

/// RFC 7518 appendix C.
#[test]
fn the_example_of_a_derived_key_is_derived() {
    let header = json!({
        "alg": "ECDH-ES", "enc": "A128GCM", "apu": "QWxpY2U", "apv": "Qm9i",
        "epk": {
            "kty": "EC", "crv": "P-256",
            "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
        },
    });
    let agreement = Agreement::read(header.as_object().unwrap()).unwrap();
    let bob = key(P256);
    let Private::P256(bob) = &*bob.0 else { panic!("it is a key on P-256") };
    assert_eq!(URL_SAFE_NO_PAD.encode(&*agreement.key(bob, "A128GCM", 16).unwrap()), "VqqN6vgjbSBcIijNcacQGg");
}

/// By another implementation (the npm package jose 6).
const OTHERS: [(&str, &str); 6] = [
    (
        RSA,
        "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMTI4R0NNIn0.aiID1kv3M6gxIROA7FlFWu1Xrf5wnhhAamRz6MnD8Q1NGp-\
         Y5ib7HdvSrkYL0HRypIGZK0bQrhSjFqLgbddyXNfFNaA6_MO8R9VktxdozwtVMCZ4w4eboFYvpRhcaec4DZAxRz0rnJo3odN7ms6\
         zROgi_afObYv2Tnw5BoQwidheqj5UbYmaxmqg_F5EqbatL8UMpsdz9oL_jksyZ_zSdIUjcbCyamTNFbC_ikCj1EmOtbQgMhcK7B-\
         mOj-aiObd_YedVzT0DmG_8wBbCddQdTEXpPAcpO2TUntZA5wA7l8d4t-\
         EGAcKurfnCkJW9KM8002wyDanNvnTxIfyXMB44A.8YuTKvzlolKDpCFX.PvFacfsKb6MG6yAp-BVmW-\
         rSOXihmQ.wemudC0UnTQQAroyRT73Mw",
    ),
    (
        RSA,
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZDQkMtSFM1MTIifQ.nx9jsshP5XHadw_q8A6-jNTc_0H-\
         MOUkftO0TQ0GvztRPZYaFhfH_SDEY3OGU579xmIVYujKYnaP3X6Jht5LDbziExXwVvvpKIXS8w0pNvlUnutcx1asZK4Z7b5gGmxK\
         SHspl43cz38fR0b_dL_5DKgREfZGJRM0OyojdBJQOPuhWUeqHBg0SPy_FRa_9jlWjzgbYnnOHfxbo4ze7wv0nWfKChSvE39hYW3J\
         iYTam5OzajkzMwZx6LLBbTBv-b468Ap3ZHeQ9e7duR7jhkkuml0fSAZjFgVFca4H6kiO0iN5ADo2jiGByoP0ycYTECU2--\
         3i4BPku_iOKf5v0RolxQ.68oZxtwzm6O4SMBzIxdJEw.02XW-\
         UhgTlCco_5XtY5esrNYvTNt7MrXUYmJEZ0ZqjE.R7MJyj8Cr9F2_lGPHj95B0EF0GvOuG2d_cTfQ-YHj9E",
    ),
    (
        P256,
        "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJ4IjoicThnVFZiVVpkUDhpSmo1Y1NlS2ZsSFZXRUlTX29k\
         YlItay1iODFWNEpQTSIsImNydiI6IlAtMjU2Iiwia3R5IjoiRUMiLCJ5IjoiX2NmalF1NlZaOVNSU01jSXkwekxLa1VSMm5xdXln\
         ODFGZjh5OFJCQVhnSSJ9fQ..g4mZ8Zhe80K6j9WY.v6VPtAq34dVwgvXRTKHMrbwdnw1aTA.c2cjjkXeJSl1Z-fEUW74fg",
    ),
    (
        P256,
        "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkNCQy1IUzUxMiIsImVwayI6eyJ4IjoiUkVpWVdyS3VnUEEzcXF0d2t6NFNud1pR\
         SVBZbURZdkhqT1drSnhfNDJ1QSIsImNydiI6IlAtMjU2Iiwia3R5IjoiRUMiLCJ5IjoiSkFuZHdBUXNVaHZsaEhnR201T055TERp\
         Q3l3VlZSeTBsUnZLTGpDQlh4YyJ9LCJhcHUiOiJRV3hwWTJVIiwiYXB2IjoiUW05aSJ9..aPlL4e8vrHGsaV5dy3iBmw.cyJqpyc\
         zaM00Nue3DQrqd5IdNCavhrSezCS1lvU6gnE.cLfxngP1vGTyRP-WcZbXLVmds2YYxo78-0YbyqKNxHE",
    ),
    (
        P256,
        "eyJhbGciOiJFQ0RILUVTK0ExMjhLVyIsImVuYyI6IkExMjhDQkMtSFMyNTYiLCJlcGsiOnsieCI6Ik8zN3Y0TFRZZmx3MTJxUHBw\
         Rmx5R2pyLWx1SnVGbUtXRTN0VnlKQW15RTQiLCJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieSI6IjI1ZUttUzdqOHNXVFlhemdk\
         b256bW1iRUdmOThBc1NmZ05jS1BwT19fUVUifX0.GcxvCoizq19CF5rG8d8q6vUkobP89bZwgWrWQcdFrL9kis-\
         cFaDFFQ.qA9mQdvLtSI13EfIyYRRWg.TdpevASfNitmvSeSSxEOkvcnnk2F9lPt30kPy6Xl0vI.YHOC0s1DsEuW2nJG0yjv1g",
    ),
    (
        P256,
        "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZDQkMtSFM1MTIiLCJlcGsiOnsieCI6IllhRy1oVWFqdVA5SnpIOVVC\
         eDliaGxudGQwZG5aSnRuWUJtcGl0Um9RYmciLCJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieSI6IlFEQzllbXJxczJlZ2lVNUZR\
         N1BQQXlOS194Nlc1U2ZwaVE3NGRyaTNtbGMifX0.tY8gNAsILBVP4wg-gph486e3cUuBVy-\
         POKKeMG7_mgdlohVlGOshbgddojy46y3AjzZlWyURLSV718LPtD-QNX9MiI2ckzYG.EVUnBcxhgwInzMnVyb73Bw.rfCNB_9RQKa\
         CEOL2adu1kdIS8VE0dYtWpgHc6TsCNLw.fyvFH7OrjaUyL9TC4Vx8hO_JlTxhzM8N5dl8nEo-s3U",
    ),
];

#[test]
fn what_others_encrypt_opens() {
    for (pkcs8, token) in OTHERS {
        assert_eq!(content(token, key(pkcs8)), "Live long and prosper.", "{token:.60}");
    }
}

/// Every way to find a key, with every way to encrypt the content.
fn ways<'a>(rsa: &'a Recipient, p256: &'a Recipient) -> Vec<(Value, &'a Recipient)> {
    let mut ways = Vec::new();
    for (alg, recipient) in [
        ("RSA-OAEP", rsa),
        ("RSA-OAEP-256", rsa),
        ("ECDH-ES", p256),
        ("ECDH-ES+A128KW", p256),
        ("ECDH-ES+A256KW", p256),
    ] {
        ways.extend(Encryption::ALL.map(|enc| (json!({"alg": alg, "enc": enc.name()}), recipient)));
    }
    ways
}

#[test]
fn what_is_no_secret_of_ours_is_refused_by_looking() {
    use JweError as E;
    let (rsa, p256) = (Recipient::rsa(), Recipient::p256());
    let good = json!({"alg": "RSA-OAEP", "enc": "A128GCM"});
    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        header
    };
    let agreed = |epk: Value| json!({"alg": "ECDH-ES", "enc": "A128GCM", "epk": epk});
    let half = URL_SAFE_NO_PAD.encode([1; 32]);
    let short = URL_SAFE_NO_PAD.encode([1; 31]);
    for (header, answer) in [
        (with("alg", json!("dir")), E::Algorithm("dir".into())),
        (with("alg", json!("RSA1_5")), E::Algorithm("RSA1_5".into())),
        (with("alg", json!("none")), E::Algorithm("none".into())),
        (with("alg", json!("A256KW")), E::Algorithm("A256KW".into())),
        (with("alg", json!("A256GCMKW")), E::Algorithm("A256GCMKW".into())),
        (with("alg", json!("rsa-oaep")), E::Algorithm("rsa-oaep".into())),
        (with("alg", json!("ECDH-ES+A192KW\n")), E::Algorithm("ECDH-ES+A192KW\u{fffd}".into())),
        (
            json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_000_000_000, "p2s": "AAAAAAAA"}),
            E::Algorithm("PBES2-HS256+A128KW".into()),
        ),
        (with("alg", json!(null)), E::Header),
        (with("alg", json!(["RSA-OAEP"])), E::Header),
        (with("enc", json!("A192GCM")), E::Encryption("A192GCM".into())),
        (with("enc", json!("none")), E::Encryption("none".into())),
        (with("enc", json!("")), E::Encryption("".into())),
        (with("enc", json!(null)), E::Header),
        (with("zip", json!("DEF")), E::Unsupported("zip")),
        (with("zip", json!(null)), E::Unsupported("zip")),
        (with("crit", json!(["exp"])), E::Unsupported("crit")),
        (with("crit", json!([])), E::Unsupported("crit")),
        (with("cty", json!("json")), E::Unsupported("cty")),
        (with("cty", json!(7)), E::Unsupported("cty")),
        (with("kid", json!("x".repeat(4_000))), E::Header),
        (with("kid", json!("x".repeat(MAX_TOKEN))), E::TooLarge),
        (json!([]), E::Header),
        // An agreement with nobody, on another curve, or with half a point.
        (json!({"alg": "ECDH-ES", "enc": "A128GCM"}), E::Header),
        (agreed(json!("P-256")), E::Header),
        (agreed(json!({"kty": "EC", "crv": "P-384", "x": half, "y": half})), E::Header),
        (agreed(json!({"kty": "OKP", "crv": "P-256", "x": half, "y": half})), E::Header),
        (agreed(json!({"kty": "EC", "crv": "P-256", "x": short, "y": half})), E::Header),
        (agreed(json!({"kty": "EC", "crv": "P-256", "x": half})), E::Header),
        (agreed(json!({"kty": "EC", "crv": "P-256", "x": half, "y": "="})), E::Header),
    ] {
        let token = format!("{}.AAAA.AAAA.AAAA.AAAA", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(open(&token, &[&rsa, &p256]), Err(answer), "{:.80}", header.to_string());
    }
    for header in [r#"{"alg":"RSA-OAEP","alg":"dir","enc":"A128GCM"}"#, "", "{}x"] {
        let token = format!("{}.AAAA.AAAA.AAAA.AAAA", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(open(&token, &[&rsa]), Err(E::Header), "{header}");
    }
    // A key of another kind is not tried.
    assert_eq!(open(&rsa.encrypt(good, JWT.as_bytes()), &[&p256]), Err(E::NoKey("RSA-OAEP")));
    let agreed = p256.encrypt(json!({"alg": "ECDH-ES", "enc": "A256GCM"}), JWT.as_bytes());
    assert_eq!(open(&agreed, &[&rsa]), Err(E::NoKey("ECDH-ES")));
}

/// Whatever is wrong with what is encrypted, nobody learns what.
#[test]
fn what_does_not_open_fails_in_one_way() {
    let (rsa, p256) = (Recipient::rsa(), Recipient::p256());
    let (other_rsa, other_p256) = (Recipient::rsa(), Recipient::p256());
    for (header, recipient) in ways(&rsa, &p256) {
        let token = recipient.encrypt(header.clone(), JWT.as_bytes());
        let parts: Vec<&str> = token.split('.').collect();
        let [head, key, iv, text, tag] = parts.as_slice() else { panic!("{token}") };
        let short = |part: &str| URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.decode(part).unwrap().split_last().unwrap().1);
        let long = |part: &str| URL_SAFE_NO_PAD.encode([&URL_SAFE_NO_PAD.decode(part).unwrap()[..], &[0]].concat());
        let other = if key.is_empty() { "AAAA" } else { "" };
        for changed in [
            format!("{head}.{other}.{iv}.{text}.{tag}"),
            format!("{head}.{}.{iv}.{text}.{tag}", long(key)),
            format!("{head}.{key}=.{iv}.{text}.{tag}"),
            format!("{head}.{key}..{text}.{tag}"),
            format!("{head}.{key}.{}.{text}.{tag}", short(iv)),
            format!("{head}.{key}.{}.{text}.{tag}", long(iv)),
            format!("{head}.{key}.{iv}..{tag}"),
            format!("{head}.{key}.{iv}.{}.{tag}", short(text)),
            format!("{head}.{key}.{iv}.{}.{tag}", long(text)),
            format!("{head}.{key}.{iv}.{text}."),
            format!("{head}.{key}.{iv}.{text}.{}", short(tag)),
            format!("{head}.{key}.{iv}.{text}.{}", long(tag)),
            format!("{head}.{key}.{iv}.{text}.{tag} "),
            format!("{head}...."),
        ] {
            assert_eq!(open(&changed, &[recipient]), Err(JweError::Failed), "{header}: {changed:.60}…");
        }
        assert_eq!(open(&token, &[&other_rsa, &other_p256]), Err(JweError::Failed), "{header}");
        assert_eq!(open(&token, &[recipient]), Ok(Some(JWT.to_owned())), "{header}");
    }
}

#[test]
fn a_changed_byte_is_another_token() {
    let (rsa, p256) = (Recipient::rsa(), Recipient::p256());
    for (header, recipient) in [
        (json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k"}), &rsa),
        (json!({"alg": "ECDH-ES", "enc": "A128CBC-HS256", "kid": "k"}), &p256),
        (json!({"alg": "ECDH-ES+A256KW", "enc": "A256CBC-HS512", "kid": "k"}), &p256),
    ] {
        let token = recipient.encrypt(header, JWT.as_bytes());
        let body = token.find('.').unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            if bytes[at] == b'.' {
                continue;
            }
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let answer = open(&String::from_utf8(bytes).unwrap(), &[recipient]);
            // In the header it may also become something that is refused by looking.
            let is_refused = if at > body { answer == Err(JweError::Failed) } else { answer.is_err() };
            assert!(is_refused, "at {at}: {answer:?}");
        }
    }
}

/// A sender who knew what a wrong key is replaced by would learn from every token whether its key was wrong.
#[test]
fn what_stands_for_a_missing_key_is_known_to_nobody() {
    let (rsa, p256) = (Recipient::rsa(), Recipient::p256());
    for (mut header, recipient) in ways(&rsa, &p256) {
        let half = URL_SAFE_NO_PAD.encode([1; 32]);
        // Not on the curve.
        header["epk"] = json!({"kty": "EC", "crv": "P-256", "x": half, "y": half});
        let enc = Encryption::named(header["enc"].as_str().unwrap()).unwrap();
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        for known in [0, 1, 255] {
            let (iv, text, tag) = seal(enc, &vec![known; enc.key_bytes()], &header, JWT.as_bytes());
            for key in [&[][..], &[0; 40], &[0; 256]] {
                let parts = [key, &iv, &text, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
                let token = format!("{header}.{}", parts.join("."));
                assert_eq!(open(&token, &[recipient]), Err(JweError::Failed), "{header}");
            }
        }
    }
}

#[test]
fn only_a_signed_jwt_is_taken_out() {
    let recipient = Recipient::p256();
    let header = json!({"alg": "ECDH-ES", "enc": "A128GCM", "cty": "JWT"});
    let nested = recipient.encrypt(header.clone(), JWT.as_bytes());
    for content in [nested.as_bytes(), b"", b"{\"sub\":\"alice\"}", br#"{"a":"1.2"}"#, b"a.b", b"a.b.c.d", b"a.\xff.c"]
    {
        let token = recipient.encrypt(header.clone(), content);
        assert_eq!(open(&token, &[&recipient]), Err(JweError::Content), "{}", content.escape_ascii());
    }
    for cty in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let token = recipient.encrypt(json!({"alg": "ECDH-ES", "enc": "A128GCM", "cty": cty}), JWT.as_bytes());
        assert_eq!(open(&token, &[&recipient]), Ok(Some(JWT.to_owned())), "{cty}");
    }
    // What is not encrypted, or cannot be opened for want of a key, stays as it is.
    let token = recipient.encrypt(header, JWT.as_bytes());
    assert_eq!(open(&token, &[]), Ok(None));
    for other in ["", "a.b.c", "a.b.c.d", "a.b.c.d.e.f", &".".repeat(10_000)] {
        assert_eq!(open(other, &[&recipient]), Ok(None), "{other:.20}");
    }
}

#[test]
fn each_key_that_fits_is_tried_but_not_many() {
    let others: Vec<_> = std::iter::repeat_with(Recipient::p256).take(MAX_DECRYPTION_KEYS).collect();
    let (rsa, ours) = (Recipient::rsa(), Recipient::p256());
    let token = ours.encrypt(json!({"alg": "ECDH-ES", "enc": "A128GCM", "kid": "nobody's"}), JWT.as_bytes());
    let mut keys: Vec<_> = others.iter().skip(1).chain([&rsa, &ours]).collect();
    assert_eq!(open(&token, &keys), Ok(Some(JWT.to_owned())));
    keys.insert(0, &others[0]);
    assert_eq!(open(&token, &keys), Err(JweError::Failed));
}

proptest::proptest! {
    #[test]
    fn any_text_is_looked_at_without_a_panic(header in ".*", parts in proptest::array::uniform4("[A-Za-z0-9_-]{0,44}")) {
        let keys = [key(P256)];
        for header in [URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(r#"{"alg":"ECDH-ES","enc":"A128GCM"}"#), header] {
            let _refused = opened(&Secret::new(format!("{header}.{}", parts.join("."))), &keys);
        }
    }
}
