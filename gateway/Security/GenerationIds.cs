using System.Security.Cryptography;

namespace Llama3Cluster.Gateway.Security;

/// <summary>Names of requests. Nobody can guess one: 128 random bits.</summary>
internal static class GenerationIds
{
    private const int MaxLength = 64;

    /// <summary>A new id.</summary>
    /// <param name="prefix">The kind of request.</param>
    public static string New(string prefix) => $"{prefix}-{RandomNumberGenerator.GetHexString(32, lowercase: true)}";

    /// <summary>The id of one of a response's generations.</summary>
    public static string OfChoice(string id, int choice) => choice == 0 ? id : $"{id}-{choice}";

    /// <summary>Whether a client's text can be an id at all.</summary>
    public static bool IsWellFormed(string id) =>
        id.Length is > 0 and <= MaxLength && id.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-');
}
