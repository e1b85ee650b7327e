using System.Text;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>Valid text of every kind of character that the tokenizers treat differently.</summary>
internal static class RandomText
{
    private static readonly string[] Fragments =
    [
        " ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u3000", "\u200B", "\0", "\uFFFD", "'s", "'LL", "'ve", "'\u017F", "the",
        " story", "Hello", "1", "12345", "½", "Ⅷ", "٣", "!", "...", "==", "<|eot_id|>", "<s>", "é", "e\u0301", "漢字", "ひ", "한", "العربية",
        "🚀", "👩\u200D💻", "𝐀", "𠀀", "𝟙",
    ];

    public static string Create(Random random, int fragments)
    {
        var text = new StringBuilder();
        for (int count = 0; count < fragments; count++)
        {
            switch (random.Next(4))
            {
                case 0:
                    text.Append((char)random.Next(' ', 0x7F));
                    break;
                case 1:
                    int value = random.Next(random.Next(2) == 0 ? 0x3000 : 0x110000);
                    text.Append(Rune.IsValid(value) ? new Rune(value) : Rune.ReplacementChar);
                    break;
                default:
                    text.Append(Fragments[random.Next(Fragments.Length)]);
                    break;
            }
        }

        return text.ToString();
    }
}
