using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Text;

/// <summary>Turns a list of tokens into text.</summary>
internal static class Detokenizer
{
    /// <summary>The text of tokens; bytes that are no characters become replacement characters.</summary>
    public static string Decode(ITokenizer tokenizer, IReadOnlyList<int> tokens)
    {
        var stream = new TextStream(tokenizer, atTextStart: true);
        var text = new StringBuilder();
        foreach (int token in tokens)
            text.Append(stream.Append(token));
        return text.Append(stream.Flush()).ToString();
    }
}
