using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Tests.Security;

/// <summary>Certificates are judged when a node starts, before anybody joins by them.</summary>
public sealed class TlsIdentityTests : IDisposable
{
    private readonly TestAuthority _authority = new();

    public void Dispose() => _authority.Dispose();

    [Fact]
    public void Good_files_must_be_taken_with_their_names_and_expiry()
    {
        var identity = TlsIdentity.Load(_authority.Files("alpha.lan", "10.0.0.5", "::1"));

        Assert.Equal(["alpha.lan", "10.0.0.5", "::1"], identity.Names);
        Assert.True(identity.Bears("alpha.lan"));
        Assert.True(identity.Bears("10.0.0.5"));
        Assert.False(identity.Bears("10.0.0.6"));
        Assert.False(identity.Bears("lan"));
        Assert.Equal(TestAuthority.Start.AddDays(365), identity.ExpiresAt, TimeSpan.FromSeconds(2));
    }

    [Fact]
    public void An_expired_certificate_must_be_refused_with_the_time_and_the_remedy()
    {
        TlsFiles files = _authority.Files(TestAuthority.Start, TestAuthority.Start.AddHours(1), "localhost");

        AssertRefused(files, files.Certificate, "expired at", "llama3cluster certs");
    }

    [Fact]
    public void A_certificate_of_the_future_must_be_refused()
    {
        AssertRefused(_authority.Files(DateTimeOffset.UtcNow.AddDays(1), DateTimeOffset.UtcNow.AddDays(2), "localhost"), "is valid from");
    }

    [Fact]
    public void A_certificate_of_another_authority_must_be_refused()
    {
        using var other = new TestAuthority();
        TlsFiles files = _authority.Files("localhost") with { Authority = other.Files("localhost").Authority };

        AssertRefused(files, files.Certificate, "was not issued by", files.Authority);
    }

    [Fact]
    public void The_key_of_another_certificate_must_be_refused()
    {
        TlsFiles files = _authority.Files("localhost") with { Key = _authority.Files("localhost").Key };

        AssertRefused(files, files.Key, "cannot be used");
    }

    [Fact]
    public void A_nodes_certificate_in_the_authoritys_place_must_be_refused()
    {
        TlsFiles files = _authority.Files("localhost");

        AssertRefused(files with { Authority = files.Certificate }, "is not a certificate authority");
    }

    [Theory]
    [InlineData("")]
    [InlineData("no certificate at all")]
    [InlineData("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
    public void Files_of_something_else_must_be_refused(string content)
    {
        TlsFiles files = _authority.Files("localhost");
        foreach (string path in (string[])[files.Authority, files.Certificate, files.Key])
        {
            string good = File.ReadAllText(path);
            File.WriteAllText(path, content);
            AssertRefused(files, path);
            File.WriteAllText(path, good);
        }
    }

    [Fact]
    public void A_missing_file_must_be_named()
    {
        TlsFiles files = _authority.Files("localhost");
        File.Delete(files.Key);

        AssertRefused(files, files.Key);
    }

    [Fact]
    public void Replaced_files_must_be_taken_up_and_broken_ones_must_not()
    {
        var clock = new ManualClock();
        TlsFiles files = _authority.Files("before.lan");
        var identity = TlsIdentity.Load(files, clock);

        File.WriteAllText(files.Certificate, "half written");
        Touch(files, 1);
        clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(["before.lan"], identity.Names);
        Assert.Contains(files.Certificate, identity.ReloadProblem, StringComparison.Ordinal);

        _authority.Replace(files, "after.lan");
        Touch(files, 2);
        clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(["after.lan"], identity.Names);
        Assert.Null(identity.ReloadProblem);
    }

    // File systems keep coarse times.
    private static void Touch(TlsFiles files, int minutes) => File.SetLastWriteTimeUtc(files.Certificate, DateTime.UtcNow.AddMinutes(minutes));

    private static void AssertRefused(TlsFiles files, params string[] words)
    {
        string message = Assert.Throws<TlsFilesException>(() => TlsIdentity.Load(files)).Message;
        Assert.All(words, word => Assert.Contains(word, message, StringComparison.Ordinal));
    }

    private sealed class ManualClock : TimeProvider
    {
        private long _passed;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(TimeSpan time) => _passed += time.Ticks;

        public override long GetTimestamp() => _passed;
    }
}
