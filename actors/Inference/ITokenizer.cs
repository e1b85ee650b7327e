namespace Llama3Cluster.Actors.Inference;

/// <summary>Turns text into the model's tokens and back. Safe to use from several threads.</summary>
public interface ITokenizer
{
    /// <summary>Tokens of the vocabulary, special ones included.</summary>
    int VocabularySize { get; }

    /// <summary>Whether the model has a chat format.</summary>
    bool HasChatFormat { get; }

    /// <summary>Tokens that end a generation.</summary>
    IReadOnlySet<int> EndTokens { get; }

    /// <summary>
    /// Encodes a prompt. Text gets the start token; special tokens written out in a user's text stay plain text. A chat is
    /// framed in the model's chat format, up to the header of the assistant's turn.
    /// </summary>
    /// <exception cref="PromptException">The prompt cannot be encoded; the message is fit for the client.</exception>
    int[] Encode(Prompt prompt);

    /// <summary>The bytes of one token in UTF-8, possibly a part of a character; nothing for a special token.</summary>
    ReadOnlyMemory<byte> DecodeBytes(int token);
}

/// <summary>A prompt that cannot be used; the message says why, with the numbers.</summary>
public sealed class PromptException(string message) : Exception(message);
