using Akka.Actor;
using Akka.Cluster;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Microsoft.Extensions.Logging;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <summary>
/// One on every gateway: has the logs of the generations that live here, sees to it that each has a copy on one other gateway
/// before its tokens are told, and keeps the copies of others. A generation that begins to live on a gateway where it was not
/// before gets its log from here.
/// </summary>
public sealed partial class LogStoreActor : UntypedActor, IWithTimers
{
    /// <summary>The actor's name: other gateways find it by that.</summary>
    public const string ActorName = "generation-logs";

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ForgetInterval = TimeSpan.FromSeconds(2);

    private readonly long _store = Random.Shared.NextInt64();
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly MemberList _members = new();
    private readonly Dictionary<string, Peer> _peers = [];
    private readonly Dictionary<string, OwnLog> _own = [];
    private readonly Dictionary<long, OwnLog> _ownByNumber = [];
    private readonly HeldLogs _held = new();
    private readonly Retention _parked;
    private readonly Retention _orphans;
    private readonly List<OwnLog> _changed = [];
    private long _lastNumber;
    private bool _flushing;

    private readonly ILogger _log;

    /// <summary>Use <see cref="Props"/>.</summary>
    public LogStoreActor(RetentionLimits limits, ILoggerFactory loggers)
    {
        _log = loggers.CreateLogger<LogStoreActor>();
        _parked = new Retention(limits);
        _orphans = new Retention(limits);
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    private static long Now => Environment.TickCount64;

    /// <summary>How to make one.</summary>
    /// <param name="limits">How long, and how many, answers are kept that nobody listens to.</param>
    /// <param name="loggers">Where it logs.</param>
    public static Props Props(RetentionLimits limits, ILoggerFactory loggers) =>
        Akka.Actor.Props.Create(() => new LogStoreActor(limits, loggers));

    /// <summary>From a generation that begins: keep a log for it. It then sends its tokens and its end as it gets them.</summary>
    public sealed record Create(GenerationMessages.Start Request) : INoSerializationVerificationNeeded;

    /// <summary>From a generation that may have lived elsewhere: find its log. Answered with <see cref="Recovered"/>.</summary>
    public sealed record Recover(string GenerationId) : INoSerializationVerificationNeeded;

    /// <summary>The log, which is this gateway's from now on.</summary>
    /// <param name="Log">What was found; null when there is none.</param>
    /// <param name="Certain">Whether every gateway was heard.</param>
    public sealed record Recovered(LogSnapshot? Log, bool Certain) : INoSerializationVerificationNeeded;

    /// <summary>To the generation: so many units of its log may be told.</summary>
    public sealed record Released(int Units) : INoSerializationVerificationNeeded;

    /// <summary>From a generation: nobody listens to it any more; keep its log for a while.</summary>
    public sealed record Park(string GenerationId) : INoSerializationVerificationNeeded;

    /// <summary>From a generation: nobody will ever ask for its log.</summary>
    public sealed record Forget(string GenerationId) : INoSerializationVerificationNeeded;

    /// <inheritdoc/>
    protected override void PreStart() => _cluster.Subscribe(
        Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, MemberList.Events);

    /// <inheritdoc/>
    protected override void PostStop()
    {
        _cluster.Unsubscribe(Self);
        LogMetrics.Own.Add(-_own.Count);
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case GenerationMessages.TokenSampled token:
                Append(token);
                break;
            case GenerationMessages.Completed completed:
                End(completed);
                break;
            case Flush:
                _flushing = false;
                Send();
                break;
            case LogBatch batch:
                Take(batch);
                break;
            case LogAck ack:
                Acknowledge(ack);
                break;
            case Create create:
                Begin(create.Request);
                break;
            case Recover recover:
                Find(recover.GenerationId);
                break;
            case FindLog find:
                Answer(find.GenerationId);
                break;
            case LogFound found:
                Heard(found);
                break;
            case SearchTimedOut timedOut:
                GiveUp(timedOut.GenerationId);
                break;
            case Park park when _own.TryGetValue(park.GenerationId, out OwnLog? own) && Sender.Equals(own.Generation):
                own.Generation = null;
                _parked.Add(own.Log.Id, own.Log.Request.Prompt.Length + own.Log.Count, Now);
                ForgetLater();
                break;
            case Forget forget when _own.TryGetValue(forget.GenerationId, out OwnLog? own) && Sender.Equals(own.Generation):
                Drop(own);
                break;
            case Park or Forget:
                break; // of a generation that lives elsewhere by now
            case Tick:
                OnTick();
                break;
            case ForgetExpired:
                OnForget();
                break;
            case ClusterEvent.MemberRemoved removed when removed.Member.HasRole(ClusterNode.GatewayRole):
                _members.Take(removed);
                Orphan(NodeContext.AddressOf(removed.Member.Address));
                OnMembership();
                break;
            case ClusterEvent.IMemberEvent or ClusterEvent.IReachabilityEvent:
                _members.Take((ClusterEvent.IClusterDomainEvent)message);
                OnMembership();
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Begin(GenerationMessages.Start request)
    {
        if (_own.TryGetValue(request.GenerationId, out OwnLog? known))
            Give(known); // the request was late: it is answered already
        else
            Own(new GenerationLog(request)).Generation = Sender;
    }

    private void Append(GenerationMessages.TokenSampled token)
    {
        if (!_own.TryGetValue(token.GenerationId, out OwnLog? own) || !own.Log.TryAppend(
                token.Index, new LogToken(token.Token, token.LogProb, token.Top, token.CachedTokens)))
        {
            return;
        }

        Changed(own);
    }

    private void End(GenerationMessages.Completed completed)
    {
        if (_own.TryGetValue(completed.GenerationId, out OwnLog? own) && own.Log.End is null && own.Log.TryEnd(own.Log.Count, completed))
            Changed(own);
    }

    private void Changed(OwnLog own)
    {
        own.Channel?.Changed(own);
        Release(own);
        FlushSoon();
    }

    private OwnLog Own(GenerationLog log)
    {
        var own = new OwnLog(log, ++_lastNumber);
        _own.Add(log.Id, own);
        _ownByNumber.Add(own.Number, own);
        LogMetrics.Own.Add(1);
        AssignPeer(own);
        return own;
    }

    private void Drop(OwnLog own)
    {
        own.Channel?.Close(own);
        _parked.Remove(own.Log.Id);
        _own.Remove(own.Log.Id);
        _ownByNumber.Remove(own.Number);
        LogMetrics.Own.Add(-1);
        FlushSoon();
    }

    private static void Release(OwnLog own)
    {
        int bare = own.Release();
        if (bare < 0)
            return;
        if (bare > 0)
            LogMetrics.Unreplicated.Add(bare);
        own.Generation?.Tell(new Released(own.Released));
    }

    // Behind the messages that wait already, so that the tokens of one step travel together.
    private void FlushSoon()
    {
        if (_flushing || _peers.Count == 0)
            return;
        _flushing = true;
        Self.Tell(Flush.Instance);
    }

    private void OnForget()
    {
        long now = Now;
        while (_parked.TryTakeExpired(now, out string id))
        {
            if (_own.TryGetValue(id, out OwnLog? own))
                Drop(own);
        }

        while (_orphans.TryTakeExpired(now, out string id))
            _held.Remove(id);
        if (_parked.Count + _orphans.Count == 0)
            Timers.Cancel("forget");
    }

    private void ForgetLater()
    {
        if (!Timers.IsTimerActive("forget"))
            Timers.StartPeriodicTimer("forget", ForgetExpired.Instance, ForgetInterval);
    }

    private sealed class Flush
    {
        public static readonly Flush Instance = new();
    }

    private sealed class Tick
    {
        public static readonly Tick Instance = new();
    }

    private sealed class ForgetExpired
    {
        public static readonly ForgetExpired Instance = new();
    }

    private sealed record SearchTimedOut(string GenerationId);
}
