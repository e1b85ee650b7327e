namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// GPT-2's writing of bytes as characters, in which tokenizer.json and GGUF spell their tokens: visible Latin-1 characters
/// stand for themselves, the other 68 bytes for U+0100 and on, in order.
/// </summary>
internal static class ByteLevelAlphabet
{
    private static readonly Dictionary<char, byte> Bytes = Create();

    /// <summary>The bytes that a token's spelling stands for; null if it has a character outside the alphabet.</summary>
    public static byte[]? Decode(string spelling)
    {
        var bytes = new byte[spelling.Length];
        for (int index = 0; index < spelling.Length; index++)
        {
            if (!Bytes.TryGetValue(spelling[index], out bytes[index]))
                return null;
        }

        return bytes;
    }

    private static Dictionary<char, byte> Create()
    {
        var bytes = new Dictionary<char, byte>();
        char next = '\u0100';
        for (int value = 0; value < 256; value++)
        {
            bool visible = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            bytes.Add(visible ? (char)value : next++, (byte)value);
        }

        return bytes;
    }
}
