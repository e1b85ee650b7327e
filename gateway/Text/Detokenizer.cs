using System.Buffers;
using System.Text;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Text;

/// <summary>Turns a list of tokens into text.</summary>
internal static class Detokenizer
{
    /// <summary>The text of tokens; bytes that are no characters become replacement characters.</summary>
    public static string Decode(ITokenizer tokenizer, IReadOnlyList<int> tokens)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (int token in tokens)
            bytes.Write(tokenizer.DecodeBytes(token).Span);
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }
}
