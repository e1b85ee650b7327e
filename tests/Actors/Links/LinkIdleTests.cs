using Akka.TestKit;
using Llama3Cluster.Actors.Links;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>Links with nothing to send. Other tests would keep the threads that answer pings from the cores.</summary>
[Collection(nameof(WholeProcess))]
public class LinkIdleTests : LinkTestKit
{
    [Fact]
    public void Idle_links_must_stay_up()
    {
        LinkOptions impatient = Options with { PingInterval = TimeSpan.FromMilliseconds(20), PingTimeout = TimeSpan.FromMilliseconds(400) };
        (_, TestProbe owner, TestProbe receiver, _) = StartLink(impatient, impatient);

        owner.ExpectNoMsg(TimeSpan.FromMilliseconds(800)); // twice the timeout
        receiver.ExpectNoMsg(TimeSpan.Zero);
    }
}
