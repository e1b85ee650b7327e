using Microsoft.ML.Tokenizers;

namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// Meta's form of byte-level BPE, by the <c>TiktokenTokenizer</c> of Microsoft.ML.Tokenizers. Its time is quadratic in the
/// length of a pre-token, so the rare long ones go to a merge step that is not.
/// </summary>
internal sealed class TiktokenEncoder(TiktokenTokenizer library, Lazy<ByteLevelEncoder> longPreTokens) : ITextEncoder
{
    /// <summary>Words are far shorter; a merge of this many characters is still a matter of microseconds.</summary>
    internal const int LongPreToken = 128;

    public void Encode(string text, List<int> tokens)
    {
        PairMerger? merger = null;
        foreach ((int offset, int length) in library.PreTokenizer!.PreTokenize(text))
        {
            ReadOnlySpan<char> preToken = text.AsSpan(offset, length);
            if (length <= LongPreToken)
            {
                tokens.AddRange(library.EncodeToIds(preToken, considerPreTokenization: false, considerNormalization: false));
            }
            else
            {
                merger ??= longPreTokens.Value.CreateMerger();
                longPreTokens.Value.EncodePreToken(preToken, merger, tokens);
            }
        }
    }
}
