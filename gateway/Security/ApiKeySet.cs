using System.Security.Cryptography;
using System.Text;

namespace Llama3Cluster.Gateway.Security;

/// <summary>The keys that clients may use. Only their hashes are kept.</summary>
internal sealed class ApiKeySet(IEnumerable<string> keys)
{
    private readonly byte[][] _hashes = [.. keys.Select(Hash)];

    /// <summary>Whether nobody needs a key.</summary>
    public bool IsEmpty => _hashes.Length == 0;

    /// <summary>
    /// Compares with every key, and hashes of them: the time tells neither which key nor how much of it is right.
    /// </summary>
    public bool Contains(string key)
    {
        byte[] hash = Hash(key);
        bool known = false;
        foreach (byte[] candidate in _hashes)
            known |= CryptographicOperations.FixedTimeEquals(hash, candidate);
        return known;
    }

    /// <summary>Whom a client's requests belong to: the same for the same key on every gateway, and not the key itself.</summary>
    /// <param name="key">The key that it sent; null when it needs none.</param>
    public string OwnerOf(string? key) => IsEmpty || key is null ? "" : Convert.ToHexStringLower(Hash("owner:" + key).AsSpan(0, 16));

    /// <summary>Checks keys of the settings.</summary>
    /// <exception cref="ArgumentException">A key cannot be sent in a header.</exception>
    public static void Validate(IEnumerable<string> keys, string parameter)
    {
        foreach (string key in keys)
        {
            if (string.IsNullOrEmpty(key) || key.Any(character => character is <= ' ' or > '~'))
                throw new ArgumentException("An API key has one or more visible ASCII characters and no spaces.", parameter);
        }
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
