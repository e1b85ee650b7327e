namespace Llama3Cluster.Shards.Files;

/// <summary>A model file that cannot be used; the message says what is wrong with it, with the numbers.</summary>
public sealed class ModelFileException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ModelFileException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception around the error that the platform reported.</summary>
    public ModelFileException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
