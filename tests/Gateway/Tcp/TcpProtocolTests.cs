using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;
using Llama3Cluster.Gateway.Tests.Fakes;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tests.Tcp;

public sealed class TcpProtocolTests
{
    private static readonly SamplingParameters Biased = new()
    {
        TopLogProbs = 2,
        LogitBias = new Dictionary<int, float> { [3] = 1 },
    };

    private static readonly ClientMessage[] Conversation =
    [
        new ClientMessage.Hello(TcpProtocol.Newest, "key", TcpProtocol.Oldest),
        new ClientMessage.GetModel(7),
        new ClientMessage.Generate(1, new Prompt.Text("Once"), Biased, 20, false, ["x"]),
        new ClientMessage.Generate(2, new Prompt.Tokens([1, 2, 300]), new(), null, true, []),
        new ClientMessage.Generate(3, new Prompt.Chat([new("user", "é")]), new(), 5, false, []),
        new ClientMessage.Attach(4, "tcp-0123", 5),
        new ClientMessage.Cancel(2),
    ];

    [Theory]
    [InlineData("00000000", "1 to 4096")]
    [InlineData("FFFFFFFF", "1 to 4096")]
    [InlineData("01100000", "1 to 4096")]
    [InlineData("01000000C1", "not a MessagePack message")]
    [InlineData("0500000093DDFFFFFF", "not a MessagePack message")]
    [InlineData("0400000093010202", "not a MessagePack message")]
    [InlineData("04000000930107C0", "speaks versions 1 to 2, but the client 7 to 7")]
    [InlineData("05000000940109C003", "speaks versions 1 to 2, but the client 3 to 9")]
    [InlineData("05000000930101C000", "1 bytes before its frame")]
    [InlineData("050000009301A001C0", "not a MessagePack message")]
    [InlineData("03000000920301", "first message is not a Hello")]
    [InlineData("0100000090", "no client message 0")]
    [InlineData("0200000091FF", "no client message -1")]
    [InlineData("06000000930101A2C328", "not valid UTF-8")]
    [InlineData("0A000000", "ended within a frame")]
    [InlineData("0A00", "ended within a frame")]
    public async Task Bytes_that_break_the_protocol_must_be_answered_with_the_reason(string hex, string expected)
    {
        await using TcpHost host = await TcpHost.StartAsync();
        using NetworkStream stream = await host.ConnectRawAsync();
        await stream.WriteAsync(Convert.FromHexString(hex));
        stream.Socket.Shutdown(SocketShutdown.Send);
        List<ServerMessage> messages = await RawFrames.ReadToEndAsync(stream);
        Assert.Contains(expected, Assert.IsType<ServerMessage.Goodbye>(Assert.Single(messages)).Reason);
    }

    [Fact]
    public async Task A_number_that_still_runs_must_end_the_connection()
    {
        var service = new FakeInferenceService
        {
            BeforeToken = (_, _, cancellation) => Task.Delay(Timeout.Infinite, cancellation),
        };
        await using TcpHost host = await TcpHost.StartAsync(service: service);
        using NetworkStream stream = await host.ConnectRawAsync();
        await stream.WriteAsync(RawFrames.Of(Conversation[0], Conversation[2], Conversation[2]));
        List<ServerMessage> messages = await RawFrames.ReadToEndAsync(stream);
        Assert.Contains("still running", Assert.IsType<ServerMessage.Goodbye>(messages[^1]).Reason);
        Assert.Equal(0, host.Service.Running);
    }

    [Fact]
    public async Task Mutated_frames_must_be_read_or_refused_and_nothing_else()
    {
        var random = new Random(20240607);
        int refused = 0;
        for (int round = 0; round < 30_000; round++)
        {
            byte[] frame = Mutate(random, RawFrames.Of(Conversation[random.Next(Conversation.Length)]));
            var input = PipeReader.Create(new ReadOnlySequence<byte>(frame));
            try
            {
                await new FrameReader(input).ReadAsync(ClientMessageCodec.Read, 1 << 20, CancellationToken.None);
            }
            catch (TcpProtocolException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 10_000, 29_000);
    }

    [Fact]
    public async Task Mutated_conversations_must_only_end_cleanly_and_leave_the_server_serving()
    {
        await using TcpHost host = await TcpHost.StartAsync();
        var random = new Random(20240608);
        for (int round = 0; round < 200; round++)
        {
            using NetworkStream stream = await host.ConnectRawAsync();
            await stream.WriteAsync(Mutate(random, RawFrames.Of(Conversation)));
            stream.Socket.Shutdown(SocketShutdown.Send);
            await RawFrames.ReadToEndAsync(stream);
        }

        await using Llama3ClusterClient client = await host.ConnectAsync();
        Generation generation = await client.StartAsync(new() { Prompt = new Prompt.Text("Hi") });
        Assert.Equal(13, (await TcpClientTests.ReadAsync(generation)).Count);
        Assert.Equal(0, host.Service.Running);
    }

    private static byte[] Mutate(Random random, byte[] bytes)
    {
        var mutated = bytes.ToList();
        for (int count = random.Next(1, 4); count > 0; count--)
        {
            int at = random.Next(mutated.Count);
            switch (random.Next(5))
            {
                case 0:
                    mutated[at] = (byte)random.Next(256);
                    break;
                case 1:
                    mutated[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    mutated.Insert(at, (byte)random.Next(256));
                    break;
                case 3 when mutated.Count > 1:
                    mutated.RemoveRange(at, Math.Min(random.Next(1, 8), mutated.Count - at - (at == 0 ? 1 : 0)));
                    break;
                default:
                    mutated.InsertRange(at, Encoding.UTF8.GetBytes("\xDD\xFF"));
                    break;
            }
        }

        return [.. mutated];
    }
}
