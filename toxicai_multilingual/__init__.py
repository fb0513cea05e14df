"A detector of toxicai for several languages: data, no code"
