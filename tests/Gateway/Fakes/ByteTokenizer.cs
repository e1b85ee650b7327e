using System.Text;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Tests.Fakes;

/// <summary>A token for each byte, then a start and an end token.</summary>
internal sealed class ByteTokenizer : ITokenizer
{
    public const int Start = 256;
    public const int End = 257;

    public int VocabularySize => 258;

    public bool HasChatFormat { get; init; } = true;

    public IReadOnlySet<int> EndTokens { get; } = new HashSet<int> { End };

    public int[] Encode(Prompt prompt) => prompt switch
    {
        Prompt.Text { Value: "unencodable" } => throw new PromptException("the prompt cannot be encoded"),
        Prompt.Text text => [Start, .. Bytes(text.Value)],
        Prompt.Tokens tokens => [.. tokens.Ids],
        Prompt.Chat chat => [Start, .. chat.Messages.SelectMany(message => Bytes($"{message.Role}:{message.Content}\n"))],
        _ => throw new ArgumentOutOfRangeException(nameof(prompt)),
    };

    public ReadOnlyMemory<byte> DecodeBytes(int token) => token < 256 ? new[] { (byte)token } : default;

    public static IEnumerable<int> Bytes(string text) => Encoding.UTF8.GetBytes(text).Select(value => (int)value);
}
