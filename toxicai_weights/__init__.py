"Weights in 16 bits that fine-tuning with toxicai begins with: data, no code"
