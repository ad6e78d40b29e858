"""Which sessions of O'Doherty and Sabes there are checksums for."""

RECORD_URL = "https://zenodo.org/records/583331/files"
"""The public record: O'Doherty, Cardoso, Makin & Sabes 2017, doi 10.5281/zenodo.583331, CC BY 4.0."""

SESSIONS = {
    "indy_20160622_01": "c33d5fff31320d709d23fe445561fb6e",
    "indy_20160630_01": "197413a5339630ea926cbd22b8b43338",
    "indy_20170131_02": "2790b1c869564afaa7772dbf9e42d784",
    "loco_20170210_03": "4cae63b58c4cb9c8abd44929216c703b",
    "loco_20170215_02": "739b70762d838f3a1f358733c426bb02",
    "loco_20170301_05": "47342da09f9c950050c9213c3df38ea3",
}
"""Md5 of each session that NeuroBench and the papers about it use. indy: 96 channels; loco: 192."""
