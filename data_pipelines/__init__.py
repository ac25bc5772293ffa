"""Files <-> scores <-> tokens <-> tf.data. Knows no network."""
