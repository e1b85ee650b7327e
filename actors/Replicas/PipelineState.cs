using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Replicas;

/// <summary>How one epoch of a replica's pipeline comes to life, stage by stage.</summary>
internal sealed class PipelineState
{
    private readonly StageProgress[] _stages;
    private bool _moved = true;

    public PipelineState(PlacementMessages.AssignPlan plan)
    {
        Plan = plan;
        _stages = [.. plan.Stages.Select(_ => new StageProgress())];
    }

    public PlacementMessages.AssignPlan Plan { get; }

    public long Epoch => Plan.Epoch;

    /// <summary>Whether the stages have been told to begin the epoch.</summary>
    public bool IsConnecting { get; set; }

    /// <summary>Whether the replica's own link to the first stage is up.</summary>
    public bool EntryConnected { get; set; }

    public bool AllPrepared => _stages.All(stage => stage.State >= StageState.Prepared);

    public bool AllConnected => EntryConnected && _stages.All(stage => stage.State == StageState.Connected);

    public void Loading(int stage, double fraction)
    {
        _moved = true;
        _stages[stage].LoadedFraction = fraction;
        Advance(stage, StageState.Loading);
    }

    public void Prepared(int stage)
    {
        _stages[stage].LoadedFraction = 1;
        Advance(stage, StageState.Prepared);
    }

    public void Connected(int stage) => Advance(stage, StageState.Connected);

    /// <summary>Whether anything has changed since the last call.</summary>
    public bool HasMoved()
    {
        bool moved = _moved;
        _moved = false;
        return moved;
    }

    /// <summary>Whether the stage has yet to do what it was last told to.</summary>
    public bool Owes(int stage) => _stages[stage].State < (IsConnecting ? StageState.Connected : StageState.Prepared);

    /// <summary>The stages for people.</summary>
    public PlacementMessages.StageStatus[] Describe() =>
        [.. Plan.Stages.Select((assignment, i) => new PlacementMessages.StageStatus(assignment, Name(_stages[i].State), _stages[i].LoadedFraction))];

    private static string Name(StageState state) => state switch
    {
        StageState.Prepared => "ready",
        StageState.Connected => "active",
        _ => "loading",
    };

    private void Advance(int stage, StageState state)
    {
        if (state <= _stages[stage].State)
            return;
        _stages[stage].State = state;
        _moved = true;
    }

    private enum StageState
    {
        Silent,
        Loading,
        Prepared,
        Connected,
    }

    private sealed class StageProgress
    {
        public StageState State { get; set; }

        public double LoadedFraction { get; set; }
    }
}
