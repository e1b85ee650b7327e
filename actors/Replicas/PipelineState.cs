using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Replicas;

/// <summary>How a replica's pipeline comes to life, stage by stage.</summary>
internal sealed class PipelineState
{
    private readonly StageProgress[] _stages;

    public PipelineState(PlacementMessages.AssignPlan plan)
    {
        Plan = plan;
        _stages = [.. plan.Stages.Select(_ => new StageProgress())];
    }

    public PlacementMessages.AssignPlan Plan { get; }

    public long Epoch => Plan.Epoch;

    /// <summary>Whether the replica's own link to the first stage is up.</summary>
    public bool EntryConnected { get; set; }

    /// <summary>Stages that have not said a word yet: their nodes may be gone.</summary>
    public IEnumerable<PlacementMessages.StageAssignment> Silent =>
        Plan.Stages.Where((_, i) => _stages[i].State == StageState.Silent);

    public bool AllPrepared => _stages.All(stage => stage.State >= StageState.Prepared);

    public bool AllConnected => EntryConnected && _stages.All(stage => stage.State == StageState.Connected);

    public void Loading(int stage, double fraction)
    {
        _stages[stage].LoadedFraction = fraction;
        Advance(stage, StageState.Loading);
    }

    public void Prepared(int stage)
    {
        _stages[stage].LoadedFraction = 1;
        Advance(stage, StageState.Prepared);
    }

    public void Connected(int stage) => Advance(stage, StageState.Connected);

    public PlacementMessages.StageStatus[] Describe(bool broken) =>
        [.. Plan.Stages.Select((assignment, i) => new PlacementMessages.StageStatus(
            assignment, broken ? "lost" : Name(_stages[i].State), _stages[i].LoadedFraction))];

    private static string Name(StageState state) => state switch
    {
        StageState.Prepared => "ready",
        StageState.Connected => "active",
        _ => "loading",
    };

    private void Advance(int stage, StageState state)
    {
        if (state > _stages[stage].State)
            _stages[stage].State = state;
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
