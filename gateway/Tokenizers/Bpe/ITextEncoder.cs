namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>Turns plain, valid text into tokens. Safe to use from several threads.</summary>
internal interface ITextEncoder
{
    /// <summary>Appends the text's tokens.</summary>
    void Encode(string text, List<int> tokens);
}
