using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>A tokenizer whose tokens are the given bytes.</summary>
internal sealed class PieceTokenizer(params byte[][] pieces) : ITokenizer
{
    public int Count => pieces.Length;

    public int VocabularySize => pieces.Length;

    public bool HasChatFormat => false;

    public IReadOnlySet<int> EndTokens { get; } = new HashSet<int>();

    public int[] Encode(Prompt prompt) => throw new NotSupportedException();

    public ReadOnlyMemory<byte> DecodeBytes(int token) => pieces[token];
}
