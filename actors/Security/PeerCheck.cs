using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Llama3Cluster.Actors.Security;

/// <summary>
/// Judges the certificate of one peer, and keeps why it was refused. A peer that was dialed must bear the name under which it was
/// dialed; one that dials comes from whatever address the network gives it, so its chain alone counts.
/// </summary>
/// <param name="dialedHost">Name or address that was dialed; null for a peer that dialed.</param>
internal sealed class PeerCheck(string? dialedHost)
{
    /// <summary>Why the certificate was refused; null if it was not.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Called by the handshake, which has built the chain by the policy of <see cref="TlsMaterial"/>.</summary>
    public bool Accept(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        Refusal = Judge(certificate as X509Certificate2, chain, errors);
        return Refusal is null;
    }

    /// <summary>What is wrong with a chain.</summary>
    public static string Describe(X509Chain chain) =>
        string.Join("; ", chain.ChainStatus.Select(status => $"{status.Status} ({status.StatusInformation.Trim()})").Distinct());

    /// <summary>The names and addresses that a certificate bears.</summary>
    public static IReadOnlyList<string> NamesOf(X509Certificate2 certificate) =>
        [.. certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(
            extension => extension.EnumerateDnsNames().Concat(extension.EnumerateIPAddresses().Select(address => address.ToString())))];

    private string? Judge(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (certificate is null || errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
            return "it showed no certificate";
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors))
            return OfChain(certificate, chain);
        if (dialedHost is not null && !certificate.MatchesHostname(dialedHost, allowWildcards: false, allowCommonName: false))
            return $"its certificate is for {string.Join(", ", NamesOf(certificate))}, not for {dialedHost}, under which it was dialed";
        return null;
    }

    private static string OfChain(X509Certificate2 certificate, X509Chain? chain)
    {
        var status = chain?.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (flags, one) => flags | one.Status) ?? X509ChainStatusFlags.PartialChain;
        if ((status & (X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid)) != 0)
            return $"its certificate \"{Shown(certificate.Subject)}\" is not of this cluster's authority but of \"{Shown(certificate.Issuer)}\"";
        if (status.HasFlag(X509ChainStatusFlags.NotTimeValid))
            return $"its certificate is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u} only";
        return $"its certificate \"{Shown(certificate.Subject)}\" cannot be used: {(chain is null ? "no chain" : Describe(chain))}";
    }

    // A stranger's words, for a log.
    private static string Shown(string text)
    {
        const int most = 100;
        string plain = string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));
        return plain.Length <= most ? plain : plain[..most] + "…";
    }
}
