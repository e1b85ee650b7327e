using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// Byte-level BPE. It has its own merge step because the <c>BpeTokenizer</c> of Microsoft.ML.Tokenizers has no
/// <c>ignore_merges</c> (588 tokens of Llama 3.1's vocabulary are reached by no merge, only as a whole pre-token) and takes
/// quadratic time (<see cref="PairMerger"/>).
/// </summary>
/// <param name="preTokenizer">Splits the text; no merge crosses a split.</param>
/// <param name="ids">The tokens by their bytes, without the special ones.</param>
/// <param name="merges">The merges.</param>
/// <param name="ignoreMerges">Whether a pre-token that is a token needs no merges.</param>
internal sealed class ByteLevelEncoder(PreTokenizer preTokenizer, ByteStringMap ids, MergeTable merges, bool ignoreMerges)
    : ITextEncoder
{
    private readonly int[] _byteTokens = ids.SingleBytes();

    public void Encode(string text, List<int> tokens)
    {
        PairMerger merger = CreateMerger();
        foreach ((int offset, int length) in preTokenizer.PreTokenize(text))
            EncodePreToken(text.AsSpan(offset, length), merger, tokens);
    }

    public PairMerger CreateMerger() => new(merges);

    public void EncodePreToken(ReadOnlySpan<char> preToken, PairMerger merger, List<int> tokens)
    {
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(preToken.Length));
        int count = Encoding.UTF8.GetBytes(preToken, bytes);
        if (ignoreMerges && ids.TryGet(bytes.AsSpan(0, count), out int whole))
        {
            tokens.Add(whole);
        }
        else
        {
            int[] symbols = ArrayPool<int>.Shared.Rent(count);
            for (int index = 0; index < count; index++)
                symbols[index] = _byteTokens[bytes[index]];

            int merged = merger.Merge(symbols.AsSpan(0, count));
            tokens.AddRange(symbols.AsSpan(0, merged));
            ArrayPool<int>.Shared.Return(symbols);
        }

        ArrayPool<byte>.Shared.Return(bytes);
    }
}
